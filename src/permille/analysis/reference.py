"""What the reference workload tells of the machine: whether it drifted within a session, and
whether a session is off from the others of the same machine. Pure.

Both are differences of logarithms, so that they are relative, and both are only reported if they
are beyond what the spread of the reference allows (99 %) and large enough to matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from permille.analysis.boundaries import Bounded, within
from permille.analysis.student import student_t
from permille.energy.disturbance import disturbed
from permille.records import Record
from permille.records.trial import Trial
from permille.units import format_share, per_1000

CONFIDENCE = 0.99
"""Each session is looked at four times (energy and time, within and between): rarer than 5 %."""
MATTERS = 0.02
"""A smaller change is not reported, however certain it is."""
LEAST = 4
"""References in a session from which on a drift within it can be told."""
LEAST_DF = 3
"""Degrees of freedom of the spread within sessions from which on sessions can be compared."""


class Change(Record):
    """A relative change, and how far it may be chance (99 %)."""

    value: float
    allowed: float

    @property
    def counts(self) -> bool:
        """Whether it is more than chance, and matters."""
        return abs(math.log1p(self.value)) > math.log1p(max(self.allowed, MATTERS))


class SessionReference(Record):
    """The references of one session. ``energy`` and ``seconds``: against the machine's other
    sessions; ``energy_drift`` and ``seconds_drift``: from the first to the last of this one. None
    where it cannot be told."""

    session: str
    fingerprint: str
    references: int
    energy: Change | None = None
    seconds: Change | None = None
    energy_drift: Change | None = None
    seconds_drift: Change | None = None

    def sentences(self) -> list[str]:
        """How this session differs; nothing if it is like the others."""
        name = f"session {self.session[:8]}"
        differences = [
            f"{name}: the reference workload took {_percent(change)} {what} than in this machine's"
            " other sessions, so the figures measured in it differ for the machine's part"
            for change, what in ((self.energy, "energy"), (self.seconds, "time"))
            if change is not None and change.counts
        ]
        differences += [
            f"{name}: the reference workload took {_percent(change)} {what} at the end than at the"
            " start, so the machine drifted"
            for change, what in ((self.energy_drift, "energy"), (self.seconds_drift, "time"))
            if change is not None and change.counts
        ]
        return differences


def sessions_of(trials: Iterable[Trial]) -> list[SessionReference]:
    """Each session that has references, by machine; ``trials`` are those of the workload. Those
    that other processes disturbed are left out: they tell of these, not of the machine."""
    machines: dict[tuple[str, str | None, str], dict[str, list[Trial]]] = {}
    # As they ran: a drift is a slope over this order.
    for trial in sorted(trials, key=lambda trial: (trial.started, trial.repeat)):
        if trial.session is not None and _is_sound(trial):
            # Machines with equal environments have the same fingerprint.
            key = (trial.environment.fingerprint, trial.machine, trial.cell.id)
            machines.setdefault(key, {}).setdefault(trial.session, []).append(trial)
    return [
        found
        for (fingerprint, _, _), sessions in machines.items()
        for found in _of_machine(fingerprint, sessions)
    ]


def _is_sound(trial: Trial) -> bool:
    # Where it is unknown (None), it counts as undisturbed: a machine that does not report it would
    # have no reference.
    return trial.status == "done" and "query" in trial.phases and not disturbed(trial.phases)


def _of_machine(
    fingerprint: str, sessions: Mapping[str, Sequence[Trial]]
) -> list[SessionReference]:
    joules = {name: _logs(_joules(t) for t in trials) for name, trials in sessions.items()}
    seconds = {name: _logs(_seconds(t) for t in trials) for name, trials in sessions.items()}
    return [
        SessionReference(
            session=name,
            fingerprint=fingerprint,
            references=len(trials),
            energy=against_others(joules, name),
            seconds=against_others(seconds, name),
            energy_drift=drift(joules[name]),
            seconds_drift=drift(seconds[name]),
        )
        for name, trials in sessions.items()
    ]


def against_others(logs: Mapping[str, Sequence[float]], session: str) -> Change | None:
    """One session's mean against the mean of the others' means; the spread is that within
    sessions, pooled over all of them."""
    others = [values for name, values in logs.items() if name != session and values]
    own = logs[session]
    if not own or not others:
        return None
    df = sum(len(values) - 1 for values in (own, *others))
    if df < LEAST_DF:
        return None
    squares = math.fsum((v - fmean(values)) ** 2 for values in (own, *others) for v in values)
    variance = squares / df
    error = math.sqrt(
        variance * (1 / len(own) + math.fsum(1 / len(v) for v in others) / len(others) ** 2)
    )
    # The mean of the other sessions' means: each counts once, however many references it has.
    return _change(fmean(own) - fmean([fmean(values) for values in others]), error, df)


def drift(values: Sequence[float]) -> Change | None:
    """From the first to the last, on the straight line through all of them."""
    n = len(values)
    if n < LEAST:
        return None
    middle, mean = (n - 1) / 2, fmean(values)
    width = math.fsum((i - middle) ** 2 for i in range(n))
    slope = math.fsum((i - middle) * (v - mean) for i, v in enumerate(values)) / width
    rest = math.fsum((v - mean - slope * (i - middle)) ** 2 for i, v in enumerate(values))
    error = math.sqrt(rest / (n - 2) / width)
    return _change(slope * (n - 1), error * (n - 1), n - 2)


def _change(log_change: float, error: float, df: int) -> Change:
    allowed = student_t(df, CONFIDENCE) * error
    # At most e**50: expm1 overflows where a spread is senseless.
    return Change(value=math.expm1(log_change), allowed=math.expm1(min(allowed, 50.0)))


def _joules(trial: Trial) -> float | None:
    query = trial.phases["query"]
    bounded = within(query, "compute")
    if not isinstance(bounded, Bounded) or not query.inferences:
        return None
    return per_1000(bounded.energy_j, query.inferences)


def _seconds(trial: Trial) -> float | None:
    query = trial.phases["query"]
    return per_1000(query.seconds, query.inferences) if query.inferences else None


def _logs(values: Iterable[float | None]) -> list[float]:
    return [math.log(value) for value in values if value is not None and value > 0]


def _percent(change: Change) -> str:
    word = "more" if change.value > 0 else "less"
    return f"{format_share(abs(change.value))} {word}"
