"""Trials whose server could not keep up with the arrivals of its requests. Pure."""

from __future__ import annotations

from permille.analysis.comparable import OURS
from permille.records.trial import Trial

_OLDER_REASON = "the server cannot keep up with rate_per_s"
"""What the reason contains in trials from before failures had a kind."""


def overloaded(trial: Trial) -> bool:
    """Whether the server could not keep up, so that each further request would have waited
    longer."""
    # Only in ours: the reason of an import is another program's text.
    if trial.failure_kind is None and trial.status == "failed" and trial.source == OURS:
        return _OLDER_REASON in (trial.reason or "")
    return trial.failure_kind == "overload"
