"""The shapes of trials that the page is sent; see :mod:`permille.explorer.shapes`."""

from __future__ import annotations

from typing import Any, TypedDict

from permille.records.trial import Status


class ListedTrial(TypedDict):
    """A trial as a line of its cell's page."""

    uid: str
    repeat: int
    status: Status
    reason: str | None
    started: str
    seconds: float | None
    inferences: int | None


class PageRun(ListedTrial):
    """A trial with its power trace and all that it rests on."""

    study: str
    source: str
    model: str
    task: str
    dataset: str
    backend: str
    settings: dict[str, Any]
    device: str | None
    weights: str | None
    files: dict[str, str]
    protocol: dict[str, Any]
    environment: dict[str, Any]
    phases: dict[str, RunPhase]
    overhead: RunOverhead | None
    notes: list[str]
    again: str
    power: list[Power]
    spans: list[RunSpan]


class RunPhase(TypedDict):
    """One phase: its energy by domain, and why a domain has none."""

    seconds: float
    inferences: int | None
    domains: dict[str, RunDomain]
    problems: dict[str, str]


class RunDomain(TypedDict):
    """The energy of one domain over a phase."""

    energy_j: float
    provenance: str
    meter: str
    in_use: bool
    accuracy_low: float
    accuracy_high: float


class RunOverhead(TypedDict):
    """What recording the trial took."""

    cpu_s: float
    wall_s: float
    polls: int
    missed: int


class Power(TypedDict):
    """A domain's power over time: (seconds from the start, watts)."""

    domain: str
    provenance: str
    points: list[list[float]]


class RunSpan(TypedDict):
    """A span, in seconds from the start of the recording."""

    name: str
    from_s: float
    to_s: float
