"""A trial: how it was run, and everything that is known of it."""

from __future__ import annotations

from typing import Literal

from permille.records import Record
from permille.records.answers import EachInference, Latency, Quality, ScheduleLag, TokenSplit
from permille.records.cell import Cell, ModelFacts
from permille.records.energy import Phase
from permille.records.machine import Environment
from permille.records.recording import RecorderStats

Status = Literal["done", "failed", "invalid"]
FailureKind = Literal["overload", "other"]
"""``overload``: a server that could not keep up with the arrivals of its requests."""

PER_GPU = "permille-1-per-gpu"
"""The name of the protocol of trials that ran beside others, each on a GPU of its own: they are
comparable with each other alone, within ``accelerator``."""
SHARED_SERVER = "permille-1, shared server"
"""The name of the protocol of trials that share a server: what earlier trials left in it, and its
idle power in the baseline, make another experiment of them."""


class Protocol(Record):
    """How a trial was run."""

    inferences: int  # requested; a trial may have made additional passes, see Phase.inferences
    warmup_max: int = 0  # calls of the model: each is one inference, or one batch
    idle_s: float = 0.0
    batch_size: int = 1
    seed: int = 0
    name: str = "permille-1"


class Stopping(Record):
    """The stopping rule of a trial without a fixed number of repeats: until the interval of the
    mean is within ±``precision`` (relative), at most ``max_repeats``."""

    precision: float
    max_repeats: int


class ServerUse(Record):
    """The use that a trial made of a server that several trials share: of its ``start``, counted in
    the run of one machine, as the ``trial`` on that start; both from 1."""

    start: int
    trial: int


class Trial(Record):
    """One repeat of a cell, in a fresh process; or one imported run.

    ``source`` is the tool that measured: ``permille``, ``codecarbon``, ``power-hungry-2023``, ….
    ``phases`` maps ``idle``, ``load``, ``warmup``, ``query`` to their energy. ``counts`` has
    the quantities processed in the query span (``tokens_in``, ``tokens_out``, ``images``, …) and,
    for a server, the number of ``failed`` inferences, which no other figure but the energy
    includes.

    A *session* is a period of measuring on one boot of one machine; a *block* is one repeat of
    every model on one task and dataset, one after the other.
    """

    uid: str
    study: str
    cell: Cell
    repeat: int
    status: Status
    reason: str | None
    started: str  # UTC, ISO 8601
    protocol: Protocol
    environment: Environment
    source: str = "permille"
    device: str | None = None
    facts: ModelFacts = ModelFacts()
    phases: dict[str, Phase] = {}
    latency: Latency | None = None
    each: EachInference | None = None
    tokens: TokenSplit | None = None
    quality: Quality | None = None
    counts: dict[str, float] = {}
    overhead: RecorderStats | None = None
    stopping: Stopping | None = None
    notes: tuple[str, ...] = ()
    round: int = 0  # how often the cell has been started over (run --fresh)
    last_lines: tuple[str, ...] = ()  # the last lines printed by a failed worker
    session: str | None = None  # the session's id; None for imports and in older trials
    rerun_precision: float | None = None  # sessions were repeated until a rerun is within ± this
    block: int | None = None  # the block's number within the session
    server: ServerUse | None = None  # None: the trial started its own server, or none
    machine: str | None = None  # that of its session; None where it is unknown
    failure_kind: FailureKind | None = None  # None: not failed, an import, or an older trial
    schedule_lag: ScheduleLag | None = None  # None: no random arrivals, an import, an older trial
