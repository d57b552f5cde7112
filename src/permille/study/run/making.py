"""Make trials on this machine, one at a time, and store each before the next begins."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from permille.meters.one_gpu import OneGpu
from permille.processes import end_marked
from permille.recorder.client import Recorder
from permille.records import Environment, Trial
from permille.store import REFERENCE_SOURCE, Store
from permille.study.plan.cells import PlannedCell
from permille.study.plan.grid import Plan
from permille.study.run import reference
from permille.study.run.attempt import Assigned, Attempt, Bench, Turn
from permille.study.run.environment import describe
from permille.study.run.machine_state import ids_of_gpu
from permille.study.run.reference import reference_cell
from permille.study.run.schedule import stopping_of
from permille.study.run.session_log import Position, SessionLog, state_of
from permille.study.run.trial import keep, least_query_s, pausing
from permille.study.worker import containment

BESIDE_OTHERS = (
    "measured on one GPU, beside trials on the machine's other GPUs (--per gpu): the host's energy"
    " is unknown, and the others shared its processors and cooling, and on some boards a power cap"
)


@dataclass(frozen=True)
class Made:
    """A trial that is stored, and where. ``failure``: why the cell's next attempt would also fail,
    or None."""

    trial: Trial
    position: Position
    failure: str | None


class TrialMaker:
    """Makes the trials of a plan with one recorder, and keeps them in a store: what every engine
    does on every machine. ``watch`` is called at each stage of a trial.
    ``gpu``: the one that the recorder measures, if it does not measure the whole machine."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        recorder: Recorder,
        watch: Callable[[Turn], None],
        *,
        quiet: bool = False,
        pass_env: Sequence[str] = (),
        gpu: OneGpu | None = None,
    ) -> None:
        self._plan = plan
        self._store = store
        self._recorder = recorder
        # Beside one GPU, the host's domains have no figure, and no edge to wait for.
        metered = [d for d in recorder.domains if gpu is None or d.kind == "gpu"]
        self._least_query_s = least_query_s(metered)
        # The reference uses no device: the slow counters of those need not be waited for.
        self._least_reference_s = least_query_s(
            domain for domain in recorder.domains if domain.kind in ("cpu", "dram")
        )
        self._pausing = pausing(recorder.domains)
        self.environment: Environment = describe(recorder.domains, per_gpu=gpu is not None)
        self._bench = Bench(
            plan=plan,
            recorder=recorder,
            environment=self.environment,
            worker_environment=containment.environment(os.environ, pass_env),
            stopping=stopping_of(plan.settings),
            quiet=quiet,
            watch=watch,
            notes=() if gpu is None else (BESIDE_OTHERS,),
        )
        self.sessions = SessionLog(
            store,
            lambda: state_of(recorder.domains, None if gpu is None else gpu.index),
            None if gpu is None else ids_of_gpu(gpu.uuid),
        )
        self._since_reference_s = 0.0

    def begin_block(self) -> None:
        """The next trial is the first of a new block."""
        self.sessions.begin_block()

    def make(self, planned: PlannedCell, repeat: int, round: int) -> Made:
        """Make one trial and store it, whatever became of it; :meth:`ended` is for the caller to
        call, once it has told whoever waits for the trial.

        Raises:
            StoreError: it could not be stored.
        """
        began_s = time.monotonic()
        assigned = Assigned(
            planned=planned,
            protocol=self._plan.protocol_of(planned),
            repeat=repeat,
            round=round,
            position=self.sessions.place(),
            least_query_s=self._least_query_s,
            pausing=self._pausing,
        )
        attempt = Attempt(self._bench, assigned)
        trial = keep(self._store, *attempt.make())
        self._since_reference_s += time.monotonic() - began_s
        failure = attempt.failure if attempt.same_again else None
        return Made(trial, assigned.position, failure)

    def ended(self, made: Made) -> None:
        """Note in its session that a trial has ended.

        Raises:
            StoreError: it could not be stored.
        """
        self.sessions.ended(made.position)

    def end_block(self) -> Trial | None:
        """Measure the reference workload if it is due, as a trial of the block that has just ended;
        that trial, or None.

        Raises:
            StoreError: it could not be stored.
        """
        if not self._plan.settings.reference or self._since_reference_s < reference.EVERY_S:
            return None
        position = self.sessions.place()
        assigned = Assigned(
            planned=reference_cell(),
            protocol=reference.PROTOCOL,
            repeat=position.block,
            round=0,
            position=position,
            least_query_s=self._least_reference_s,
        )
        trial, raw = Attempt(self._bench, assigned).make()
        trial = msgspec.structs.replace(trial, source=REFERENCE_SOURCE, stopping=None)
        kept = keep(self._store, trial, raw)
        self._since_reference_s = 0.0
        self.sessions.ended(position)
        return kept

    def end(self) -> None:
        """Kill what workers may have left."""
        end_marked(self._recorder.token)
