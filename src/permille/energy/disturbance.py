"""Disturbance: the CPU time that other processes used during a span. Pure.

A package's counter includes every process of the machine. The recorder records the CPU time of the
machine and of the run's own processes (:mod:`permille.recorder.neighbours`); the difference over a
span is what others used, so the figures are not only the workload's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from permille.records.energy import Disturbance, Phase
from permille.records.recording import CpuSeries, Span
from permille.records.trial import Trial
from permille.units import format_share

DISTURBING = 0.05
"""From this share of the machine's CPU time on, other processes have disturbed a span."""

SLACK_S = 0.05
"""CPU seconds that may be attributed to others by rounding alone: the kernel reports each of five
kinds of time of the machine, and two to four of every process, in whole ticks of 10 ms
(proc(5))."""

JUDGED = ("idle", "query", "command", "measured")
"""The spans whose energy becomes a figure. A disturbed idle span makes a net energy too low."""


class _Used(NamedTuple):
    """CPU seconds over a span: of the machine, of the run (included in those), and steal time."""

    busy_s: float
    own_s: float
    steal_s: float | None


def of_span(cpu: CpuSeries | None, span: Span) -> Disturbance | None:
    """What others took during ``span``; None where it was not seen."""
    used = _used(cpu, span)
    if cpu is None or used is None:
        return None
    all_s = cpu.cpus * span.seconds
    # Every process's time is in whole ticks: the run's may add up to more than the machine's.
    others_s = max(0.0, used.busy_s - used.own_s)
    # The greater, not the sum: it is to be compared with one threshold, and either alone disturbs.
    most_s = max(others_s, used.steal_s or 0.0)
    return Disturbance(
        others=min(1.0, others_s / all_s),
        steal=None if used.steal_s is None else min(1.0, max(0.0, used.steal_s) / all_s),
        disturbed=most_s - SLACK_S > DISTURBING * all_s,
    )


def own_share(cpu: CpuSeries | None, span: Span) -> float | None:
    """The share of the machine's CPU time during ``span`` used by the run's own processes; None if
    it is unknown, or if no CPU time was used."""
    used = _used(cpu, span)
    if used is None or used.busy_s <= 0:
        return None
    return min(1.0, max(0.0, used.own_s / used.busy_s))


def _used(cpu: CpuSeries | None, span: Span) -> _Used | None:
    if cpu is None or len(cpu.t_ns) < 2 or span.t1_ns <= span.t0_ns:
        return None
    if span.t0_ns < cpu.t_ns[0] or span.t1_ns > cpu.t_ns[-1]:
        return None

    def over_span(values: Sequence[float]) -> float:
        return _at(cpu.t_ns, values, span.t1_ns) - _at(cpu.t_ns, values, span.t0_ns)

    used = _Used(
        over_span(cpu.busy_s),
        over_span(cpu.own_s),
        None if cpu.steal_s is None else over_span(cpu.steal_s),
    )
    # The machine did less than the run: its times are not maintained (a sandbox).
    return None if used.busy_s + SLACK_S < used.own_s / 2 else used


def disturbed(phases: Mapping[str, Phase]) -> bool | None:
    """Whether one of the spans whose energy counts was disturbed; None if unknown."""
    known = [
        phase.disturbance.disturbed
        for name, phase in phases.items()
        if phase.disturbance is not None and name in JUDGED
    ]
    return any(known) if known else None


def share_disturbed(runs: Sequence[Mapping[str, Phase]]) -> float | None:
    """The share of disturbed runs among those for which it is known."""
    known = [one for phases in runs if (one := disturbed(phases)) is not None]
    return sum(known) / len(known) if known else None


def notes(phases: Mapping[str, Phase]) -> list[str]:
    """Notes about the CPU time of others in each disturbed span."""
    lines = []
    for name, phase in _judged(phases).items():
        others = phase.disturbance
        if others is None or not others.disturbed:
            continue
        if others.others >= DISTURBING:
            lines.append(
                f"other processes used {format_share(others.others)} of the CPU time during the"
                f" {name} span, which {_consequence(name)}"
            )
        if (steal := _steal(others)) >= DISTURBING:
            lines.append(
                f"the hypervisor took {format_share(steal)} of the CPU time during the"
                f" {name} span (steal)"
            )
    return lines


def over_trials(trials: Sequence[Trial]) -> str | None:
    """One sentence for all the trials that others disturbed, or None; begins with one of
    :data:`OVER_TRIALS`."""
    sentence = _over([trial.phases for trial in trials], "trials")
    return sentence and f"{sentence}; --quiet-machine makes such trials invalid"


def over_runs(runs: Sequence[Mapping[str, Phase]], noun: str = "runs") -> list[str]:
    """The notes of a single run, or one sentence for all the runs that others disturbed."""
    if len(runs) == 1:
        return notes(runs[0])
    sentence = _over(runs, noun)
    return [sentence] if sentence else []


def _over(runs: Sequence[Mapping[str, Phase]], noun: str) -> str | None:
    flagged = [phases for phases in runs if disturbed(phases)]
    if not flagged:
        return None
    found = [
        phase.disturbance
        for phases in flagged
        for phase in _judged(phases).values()
        if phase.disturbance is not None and phase.disturbance.disturbed
    ]
    worst = max(worst_share(one) for one in found)
    stolen = any(_steal(one) >= DISTURBING for one in found)
    used = any(one.others >= DISTURBING for one in found)
    subject = OVER_TRIALS[0 if not stolen else 2 if used else 1]
    return (
        f"{subject} {len(flagged)} of {len(runs)} {noun}, with up to {format_share(worst)} of the"
        " CPU time"
    )


OVER_TRIALS = (
    "other processes disturbed",
    "the hypervisor (steal) disturbed",
    "other processes and the hypervisor (steal) disturbed",
)


def refusal(phases: Mapping[str, Phase]) -> str | None:
    """Why these spans are not from a quiet machine, or None."""
    known = disturbed(phases)
    if known is None:
        return (
            "--quiet-machine needs the CPU time of other processes, which is unknown for this trial"
        )
    if known:
        # There is a note: a disturbed span is above DISTURBING even without SLACK_S.
        return f"{notes(phases)[0]} (--quiet-machine)"
    seen = [phase.disturbance for phase in _judged(phases).values()]
    if any(one is not None and one.steal is None for one in seen):
        return (
            "--quiet-machine needs the CPU time that a hypervisor takes (steal), which is unknown"
            " for this trial"
        )
    return None


def only_quiet(trial: Trial) -> Trial:
    """The trial, ``invalid`` if others disturbed it."""
    reason = refusal(trial.phases) if trial.status == "done" else None
    if reason is None:
        return trial
    return msgspec.structs.replace(trial, status="invalid", reason=reason)


def worst_share(seen: Disturbance) -> float:
    """The larger of the shares that others and the hypervisor took, as far as they are known."""
    return max(seen.others, _steal(seen))


def _steal(seen: Disturbance) -> float:
    """For comparisons with a bound, which an unknown share does not reach."""
    return seen.steal or 0.0


def _consequence(name: str) -> str:
    if name == "idle":
        return "makes the energy above idle too low"
    return "is in its energy and slows it down"


def _judged(phases: Mapping[str, Phase]) -> dict[str, Phase]:
    return {name: phase for name, phase in phases.items() if name in JUDGED}


def _at(times: Sequence[int], values: Sequence[float], t_ns: int) -> float:
    """The value at ``t_ns``, which is within ``times``, by linear interpolation."""
    after = bisect_right(times, t_ns)
    if after == len(times):
        return values[-1]
    t0_ns, t1_ns = times[after - 1], times[after]
    part = (t_ns - t0_ns) / (t1_ns - t0_ns)
    return values[after - 1] + part * (values[after] - values[after - 1])
