"""The percentiles of a trial's single inferences: of their times and of their energies. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """Linear between the closest ranks of at least one value, smallest first (Hyndman and Fan's
    type 7)."""
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])
