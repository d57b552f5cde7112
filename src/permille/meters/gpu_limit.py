"""The highest plausible power of a GPU, by the limit that its driver states."""

from __future__ import annotations

HEADROOM = 2.0
"""The highest plausible power relative to the GPU's limit: transients of milliseconds reach it."""
DEFAULT_MAX_POWER_W = 1500.0
"""Used if the limit is unknown. The largest GPUs sold are rated at 1400 W (2025)."""
MOST_LIMIT_W = 10_000.0
"""No GPU has a higher limit: a higher value means that there is none."""


def max_power_w(limit_w: float) -> float:
    """The highest plausible power of a GPU with this limit; 0: the limit is unknown."""
    return HEADROOM * limit_w if 0 < limit_w <= MOST_LIMIT_W else DEFAULT_MAX_POWER_W
