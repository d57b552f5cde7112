"""What to measure next so that an interval over sessions becomes narrower, and by how much."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec.structs import replace

from permille.analysis.rerun import SessionMean, components
from permille.analysis.student import student_t
from permille.records import Record
from permille.units import format_share


class Option(Record):
    """Something to measure, and the width of the mean's interval after it, of the width now."""

    action: str
    narrows_to: float


class _Plan(Record):
    """Machines, sessions on each, and trials in each session; means where they are unequal."""

    machines: float
    sessions: float
    trials: float


def options(sessions: Sequence[SessionMean]) -> tuple[Option, ...]:
    """What could be measured next, most useful first; none where nothing varies.

    The widths are those expected with the variances as they are estimated now. With one session
    the variance between sessions is unknown, and only more repeats have an expectation.
    """
    now = _plan(sessions)
    variances = _variances(sessions)
    width = _half(now, variances)
    # Nothing varies, or nothing was repeated: there is no width to compare with.
    if not width:
        return ()
    several = now.machines > 1
    plans = {"twice the repeats": replace(now, trials=2 * now.trials)}
    if several:
        plans["another machine"] = replace(now, machines=now.machines + 1)
        plans["another session on each machine"] = replace(now, sessions=now.sessions + 1)
    # With one session, the variance of a second is unknown (see above).
    elif now.sessions > 1:
        plans["another session"] = replace(now, sessions=now.sessions + 1)
    found = [
        Option(action=action, narrows_to=half / width)
        for action, plan in plans.items()
        if (half := _half(plan, variances)) is not None
    ]
    return tuple(sorted(found, key=lambda option: option.narrows_to))


MOSTLY_THE_METERS = 0.9
"""From this share of its width on, an interval is hardly narrower."""


def advice(
    sessions: Sequence[SessionMean], half: float = 1.0, meter: Sequence[float] = (0.0, 0.0)
) -> str:
    """The options in one line.

    ``half`` is the part of the interval that the spread makes, relative to the figure, and
    ``meter`` what the meter adds below and above (in quadrature), which no repeat narrows.
    """

    def width(narrowed: float) -> float:
        return math.fsum(math.hypot(narrowed * half, side) for side in meter)

    found = [(option.action, width(option.narrows_to) / width(1.0)) for option in options(sessions)]
    words = "; ".join(
        f"{action} would narrow the interval to {format_share(share)} of its width"
        if number == 0
        else f"{action}, to {format_share(share)}"
        for number, (action, share) in enumerate(found)
    )
    if found and found[0][1] >= MOSTLY_THE_METERS:
        words += "; most of it is the meter's"
    if len(sessions) == 1:
        second = "a second session, on another day or after a reboot, would show what a rerun gives"
        return f"{second}; {words}" if words else second
    return words or "nothing varies between these trials"


def _plan(sessions: Sequence[SessionMean]) -> _Plan:
    machines = len({session.machine for session in sessions})
    return _Plan(
        machines=machines,
        sessions=len(sessions) / machines,
        # The harmonic mean: the trials' part of a session's variance goes with 1 / n.
        trials=len(sessions) / math.fsum(1 / session.n for session in sessions),
    )


def _variances(sessions: Sequence[SessionMean]) -> tuple[float, float, float]:
    """Of trials, sessions and machines; what cannot be told apart counts at the higher level."""
    trial = session = machine = 0.0
    for component in components(sessions):
        if component.level == "trial":
            trial = component.variance
        # "session" or, where every session has one trial, "trial or session".
        elif component.level.endswith("session"):
            session = component.variance
        else:
            machine = component.variance
    return trial, session, machine


def _half(plan: _Plan, variances: tuple[float, float, float]) -> float | None:
    trial, session, machine = variances
    count = plan.machines * plan.sessions
    variance = machine / plan.machines + session / count + trial / (count * plan.trials)
    # The degrees of freedom of the highest level that is repeated, as in rerun.
    units = next((n for n in (plan.machines, plan.sessions, plan.trials) if n > 1), 1)
    return student_t(units - 1) * math.sqrt(variance) if units > 1 else None
