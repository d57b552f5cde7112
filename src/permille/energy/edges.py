"""What the edges of a span leave uncertain: no reading is of that very moment."""

from __future__ import annotations

import math

from permille.energy.levels import energy_at, locate
from permille.records.recording import Domain, Series

UNKNOWN_TICK_S = 0.1
"""The assumed tick of a counter that never stepped: the slowest documented for NVML (Yang et al.,
SC24, arXiv:2312.02741: 10 to 100 ms)."""

UNKNOWN_MAX_POWER_W = 2000.0
"""The assumed maximum power of a domain that states none; above any single package or GPU sold."""

PEAK = 5.0
"""How far the instantaneous power may exceed the larger of the mean powers just before and after
(0.1 s or two ticks): a package may go from a tenth of its power to full power, not further."""

STALE_TICKS = 1.5
"""A value that is unchanged for this many ticks is older than one tick."""


def edge_s(domain: Domain) -> float:
    """Seconds of power by which one edge of a span may be wrong (half-width, rectangular).

    Of a counter, one tick. Of a power sensor a quarter of what its reading is averaged and held
    over: the error where the power goes from nothing to twice the mean in the middle of it, and
    the greatest for any course of that mean and within those limits.
    """
    sensor = domain.sensor
    if sensor is not None:
        return (sensor.window_s + sensor.period_s) / 4
    return tick_s(domain)


def tick_s(domain: Domain) -> float:
    """The domain's tick in seconds, or what is assumed where none is known."""
    return UNKNOWN_TICK_S if domain.tick_s is None else domain.tick_s


def edge_j(series: Series, t_ns: int) -> float:
    """Standard uncertainty (k = 1, joules) of the cumulative energy at one edge.

    It has four parts, each with a rectangular distribution (GUM 4.3.7) of this half-width:
    interpolation, at most the energy on the nearer side of the edge (:data:`PEAK`); the counter's
    tick, at most the energy of one tick at the highest power nearby, or of the time during which it
    did not step (:func:`_held_back_j`); its resolution; and the alignment of two machines' clocks
    (``Series.clock_s``), at the highest power nearby.
    """
    before, fraction = locate(series, t_ns)
    domain = series.domain
    one_tick_s = tick_s(domain)
    sensor = domain.sensor
    # Two lags are a sensor's window and period: within less there may be a single reading.
    width_s = 0.1 if sensor is None else 2 * sensor.lag_s
    width_s = max(width_s, 2 * one_tick_s, 2 * series.clock_s)
    # The energy of a step came in a tick, however soon after the edge the series ends.
    least_s = one_tick_s if sensor is None else 0.0
    nearby_w = _nearby_power_w(series, t_ns, width_s, least_s)
    interpolation = 0.0
    if fraction > 0.0:
        gap_j = series.energy_j[before + 1] - series.energy_j[before]
        gap_s = (series.t_ns[before + 1] - series.t_ns[before]) / 1e9
        most_w = min(domain.max_power_w or UNKNOWN_MAX_POWER_W, PEAK * nearby_w)
        nearer_s = gap_s * min(fraction, 1 - fraction)
        # At worst all of the gap's energy came on one side of the edge.
        interpolation = min(gap_j * max(fraction, 1 - fraction), most_w * nearer_s)
    tick = _held_back_j(series, before, nearby_w) if sensor is None else nearby_w * edge_s(domain)
    resolution = (domain.resolution_j or 0.0) / 2
    clock = nearby_w * series.clock_s
    return math.sqrt((interpolation**2 + tick**2 + resolution**2 + clock**2) / 3)


def _held_back_j(series: Series, at: int, nearby_w: float) -> float:
    """The energy that the counter may not have shown yet at the reading ``at`` (joules),
    half-width.

    Normally this is the energy of one tick: a mark waits two ticks for the next step
    (``recorder.poller``). If there was no step, it is the energy at the nearby power since the
    value was first observed, plus what was already missing then.
    """
    one_tick_s = tick_s(series.domain)
    level, since = series.energy_j[at], at
    while since > 0 and series.energy_j[since - 1] == level:
        since -= 1
    seen_s = (series.t_ns[at] - series.t_ns[since]) / 1e9
    # It stepped at this reading or shortly before, as a working counter does.
    if since == at or seen_s < STALE_TICKS * one_tick_s:
        return nearby_w * one_tick_s
    before = max(0, since - 1)
    expected_j = nearby_w * (series.t_ns[at] - series.t_ns[before]) / 1e9
    came_j = level - series.energy_j[before]
    return max(nearby_w * max(one_tick_s, seen_s), expected_j - came_j)


def _nearby_power_w(series: Series, t_ns: int, window_s: float, least_s: float) -> float:
    """The highest mean power of the windows before and after ``t_ns``, as far as the series
    reaches. The energy of a shorter window than ``least_s`` counts as that of ``least_s``."""
    width = round(window_s * 1e9)
    start = max(series.t_ns[0], t_ns - width)
    end = min(series.t_ns[-1], t_ns + width)
    here = energy_at(series, t_ns)
    powers = [0.0]
    if t_ns > start:
        before_j = here - energy_at(series, start)
        powers.append(before_j / max((t_ns - start) / 1e9, least_s))
    if end > t_ns:
        after_j = energy_at(series, end) - here
        powers.append(after_j / max((end - t_ns) / 1e9, least_s))
    return max(powers)
