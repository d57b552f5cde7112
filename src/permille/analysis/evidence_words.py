"""A figure with its interval, and what the interval is over, in the same words everywhere. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol
from urllib.parse import urlsplit

from permille.records.energy import Estimate

ESTIMATED = (
    "estimated: no energy counter could be read on {machine}, so power is modelled from CPU time;"
    " `permille meters` there says how to unlock measured figures"
)
ONE_SESSION = "within one session; another day or machine may give something else"
SEVERAL = "over {sessions} sessions; one more session would give {low} to {high}"
ON_MACHINES = (
    "over {sessions} sessions on {machines} machines; a session on one more machine would give"
    " {low} to {high}"
)
STOPPED = (
    "of {sessions} sessions, but over their trials, by a stopping rule: a rerun may lie outside"
)
"""The explorer's page fills in the same templates."""


def estimated_notes(meters: Iterable[str | None]) -> list[str]:
    """What the figures of a machine without an energy counter are, once for each machine.
    ``meters``: the address of the agent that measured; None: no agent did."""
    return [
        ESTIMATED.format(
            machine="the machine that was measured"
            if meter is None
            else f"{urlsplit(meter).hostname}, the machine of the agent at {meter}"
        )
        # One note for each machine, however many figures it has.
        for meter in dict.fromkeys(meters)
    ]


def over_sessions(estimate: Estimate, form: Callable[[float], str]) -> str | None:
    """What the interval of a figure is over, and what a rerun would find; None if the trials do not
    know their sessions."""
    if estimate.sessions is None:
        return None
    if estimate.sessions == 1:
        return ONE_SESSION
    # Of several sessions, only the interval of a stopping rule has no rerun (Sums.intervals).
    if estimate.rerun_low is None or estimate.rerun_high is None:
        return STOPPED.format(sessions=estimate.sessions)
    low, high = form(estimate.rerun_low), form(estimate.rerun_high)
    words = ON_MACHINES if (estimate.machines or 1) > 1 else SEVERAL
    return words.format(sessions=estimate.sessions, machines=estimate.machines, low=low, high=high)


class WithInterval(Protocol):
    """A figure and the ends of its interval; None: unknown."""

    @property
    def value(self) -> float | None:
        """The figure."""

    @property
    def low(self) -> float | None:
        """The lower end."""

    @property
    def high(self) -> float | None:
        """The upper end."""


def estimate_text(figure: WithInterval | None, form: Callable[[float], str]) -> str:
    """``310 mJ [290 mJ, 330 mJ]``; without an interval, ``[n/a]``."""
    if figure is None or figure.value is None:
        return "n/a"
    if figure.low is None or figure.high is None:
        return f"{form(figure.value)} [n/a]"
    return f"{form(figure.value)} [{form(figure.low)}, {form(figure.high)}]"
