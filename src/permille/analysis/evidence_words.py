"""What an interval is over, in the same words everywhere. Pure."""

from __future__ import annotations

from collections.abc import Callable

from permille.records import Estimate

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


def over_sessions(estimate: Estimate, form: Callable[[float], str]) -> str | None:
    """What the interval of a figure is over, and what a rerun would find; None if the trials do not
    know their sessions."""
    if estimate.sessions is None:
        return None
    if estimate.sessions == 1:
        return ONE_SESSION
    if estimate.rerun_low is None or estimate.rerun_high is None:
        return STOPPED.format(sessions=estimate.sessions)
    low, high = form(estimate.rerun_low), form(estimate.rerun_high)
    words = ON_MACHINES if (estimate.machines or 1) > 1 else SEVERAL
    return words.format(sessions=estimate.sessions, machines=estimate.machines, low=low, high=high)
