"""What an engine is given, what it implements, and what it tells the command line."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from permille.recorder.wire import Missing
from permille.records.energy import Boundary
from permille.records.trial import Trial
from permille.store import Store
from permille.study.plan.grid import Plan
from permille.study.run.attempt import Turn
from permille.study.run.schedule import NotRun, Schedule
from permille.study.run.tally import RunTally

EngineOption = Literal[
    "address", "fresh", "machines", "partition", "per",
    "replicas-of-block", "sessions", "shard", "time",
]  # fmt: skip
"""The options of the command line that only some engines take."""


@dataclass(frozen=True)
class RunOptions:
    """How a study is to be run. ``require``: the boundary within which energy must be measured;
    ``engine``: those options of engines that were given."""

    pool: bool = False
    quiet: bool = False
    shared: bool = False
    fresh: bool = False
    require: Boundary | None = None
    pass_env: Sequence[str] = ()
    sessions: int = 1
    every: datetime.timedelta = datetime.timedelta()
    # As on the command line: an engine may be a plug-in, and only it knows what they mean.
    engine: Mapping[EngineOption, str] = field(default_factory=dict)

    @property
    def replicas(self) -> int:
        """The number of machines that each block is measured on."""
        return int(self.engine.get("replicas-of-block", 1))

    @property
    def per_gpu(self) -> bool:
        """Whether a trial has one GPU, and not a whole machine."""
        return self.engine.get("per") == "gpu"


class Listener(Protocol):
    """Hears what a run does; the command line prints it."""

    def ready(self, schedule: Schedule) -> None:
        """Nothing has been measured yet: the schedule of one kind of machine."""
        ...

    def note(self, text: str) -> None:
        """Something that the user must know."""
        ...

    def session(self, number: int) -> None:
        """A session of several begins, the first with 0."""
        ...

    def rest(self, left: datetime.timedelta, session: int) -> None:
        """Wait until ``session`` may begin."""
        ...

    def measuring(
        self,
        due: Mapping[str, int],
        repeats: int,
        tally: RunTally,
        machines: Sequence[str] = (),
        at_once: int | None = None,
    ) -> AbstractContextManager[Watch]:
        """The trials ``due`` of each cell are made while the context lasts; the result is called
        with each event. ``machines``: the names of the nodes, for an engine of several;
        ``at_once``: how many measure at the same time, if not one or all of these."""
        ...


@dataclass(frozen=True)
class NodeRests:
    """A node measures nothing now: ``idle`` until there is something for it, or ``lost``."""

    why: Literal["idle", "lost"]


class Watch(Protocol):
    """Called with each event; ``machine`` is the node's name, for an engine of several."""

    def __call__(self, event: Turn | Trial | NotRun | NodeRests, machine: str = "") -> None:
        """One event."""
        ...


@dataclass(frozen=True)
class StudyRun:
    """One run of a study. ``words``: the command line of ``permille run``, without the program and
    the command, from which a node makes the same plan. ``origin``: a name of the store that no
    other machine's store has."""

    plan: Plan
    store: Store
    options: RunOptions
    listener: Listener
    # Nodes get no plan: its paths are those of this machine, and a node whose files differ is found
    # out by the digest of the plan that it makes itself (messages.digest_of).
    words: Sequence[str] = ()
    origin: str = ""


@dataclass(frozen=True)
class RunOutcome:
    """What a run did. ``missing``: meters that could not be used where it was measured, as far
    as the engine knows."""

    tally: RunTally
    missing: tuple[Missing, ...] = ()


class Engine(Protocol):
    """Runs the blocks of a study and puts each finished trial into the store. The same modules do
    the measuring on every machine (:mod:`permille.study.run`); an engine only decides which machine
    makes which block, and brings the trials home."""

    @property
    def options(self) -> frozenset[EngineOption]:
        """The options that it takes; others are refused."""
        ...

    def check(self, run: StudyRun) -> None:
        """Called before anything is measured.

        Raises:
            PermilleError: the study or the options do not fit this engine, or a library is missing.
        """
        ...

    def run(self, run: StudyRun) -> RunOutcome:
        """Make every trial that is not finished.

        Raises:
            PermilleError: it cannot go on; finished trials are in the store.
            Interrupted: Ctrl-C, TERM or HUP; likewise.
        """
        ...
