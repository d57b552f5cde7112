"""The schedule lag: how late permille itself sent requests, and what of it matters. Pure.

The term is pgbench's (``--rate``): the time from when a request was due until it was sent. permille
starts a client for every request that finds none idle, so none of the lag is the server's. A
latency counts from when its request was due, or a slow server would delay what is to load it
("coordinated omission"); it includes the lag.

What the lag may have done to a time is bounded by the longest one: had permille been on time, no
answer would have come later than it did, since a queue passes a delay on but does not add to it;
and none sooner by more than twice the longest lag, since what delays the sending of a request also
delays the reading of an answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from permille.records.answers import Latency, ScheduleLag
from permille.records.trial import Trial
from permille.units import format_seconds

MATERIAL = 0.05
"""The share of the latency from which on its lag is noted, both at their 95th percentiles: as with
the CPU time that others use (``disturbance.DISTURBING``), less changes no conclusion."""

DELAYS = 2
"""The delays of an answer that one lag bounds: of the sending of its request (or of those before
it), and of its reading."""

LATE = "permille itself sent requests late"
"""What a note about the lag begins with."""

_CONSEQUENCE = (
    "the latency includes this delay; run fewer other processes on the machine that sends the"
    " requests, send them from another machine (meter), or lower rate_per_s"
)


class Distortion(NamedTuple):
    """By how many seconds a time may be too long or too short because requests were sent late."""

    too_long_s: float
    too_short_s: float


def is_material(lag: ScheduleLag | None, latency: Latency | None) -> bool:
    """Whether a reader of the latency should know of the lag: it makes up more than
    :data:`MATERIAL` of the latency, or was once longer than 19 in 20 of the answers took, so that
    a single stall made the slowest answers."""
    if lag is None or latency is None:
        return False
    return lag.p95 > MATERIAL * latency.p95 or lag.most > latency.p95


def notes(lag: ScheduleLag | None, latency: Latency | None) -> list[str]:
    """A note of a trial whose lag matters."""
    if lag is None or not is_material(lag, latency):
        return []
    return [f"{LATE} ({_figures(lag.p95, lag.most)}): {_CONSEQUENCE}"]


def over_trials(done: Sequence[Trial]) -> str | None:
    """One sentence for all the trials whose lag matters, or None; begins with :data:`LATE`."""
    lags = [
        trial.schedule_lag
        for trial in done
        if trial.schedule_lag is not None and is_material(trial.schedule_lag, trial.latency)
    ]
    if not lags:
        return None
    worst = _figures(max(lag.p95 for lag in lags), max(lag.most for lag in lags))
    return f"{LATE} in {len(lags)} of {len(done)} trials ({worst}): {_CONSEQUENCE}"


def over_all(done: Sequence[Trial]) -> ScheduleLag | None:
    """The mean over the trials that recorded it, as of the percentiles of the latency, and the
    longest lag of any of them; None if none did."""
    lags = [trial.schedule_lag for trial in done if trial.schedule_lag is not None]
    if not lags:
        return None
    p50, p95 = (
        math.fsum(getattr(lag, name) for lag in lags) / len(lags) for name in ("p50", "p95")
    )
    return ScheduleLag(p50=p50, p95=p95, most=max(lag.most for lag in lags))


def distortion(
    lag: ScheduleLag | None, name: str, output_tokens: float | None = None
) -> Distortion:
    """What the lag may have done to a waiting time (a name of :data:`permille.analysis.slo.NAMES`).
    ``output_tokens``: of an answer, on average.

    A latency is never too short, as it counts from when its request was due. The time to the first
    token counts from sending: sent on time, a request might have met a server that was still busy
    with those before it, and waited by up to its own lag. The time of all output tokens is between
    two pieces of one answer, and is shared out among the tokens after the first.
    """
    if lag is None:
        return Distortion(0.0, 0.0)
    time, _, percentile = name.partition("_")
    most_s = DELAYS * lag.most
    if time == "ttft":
        # Its own lag, and not the longest one, which every answer behind a burst may have waited.
        return Distortion(most_s, lag.most if percentile == "p99" else lag.p95)
    if time == "tpot":
        # Of an answer of one or two tokens, one interval has all of the delay.
        return Distortion(most_s / max(1.0, (output_tokens or 0.0) - 1), 0.0)
    return Distortion(most_s, 0.0)


def sent_late(lag: ScheduleLag) -> str:
    """Why a verdict that the lag may have decided is none."""
    return (
        f"{LATE} ({_figures(lag.p95, lag.most)}), which alone may decide it: run it again with"
        " --fresh on a less busy machine"
    )


def _figures(p95_s: float, most_s: float) -> str:
    return f"95 % within {format_seconds(p95_s)}, at most {format_seconds(most_s)}"
