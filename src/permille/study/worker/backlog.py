"""Whether a server keeps up with an open loop, by the growth of its backlog. Pure.

The backlog is the requests that are due and not answered. It varies by chance: the arrivals of a
Poisson process by the square root of their number. Behind a slow server it grows linearly with
them. If the window is too short to decide, it is extended.

permille's own schedule lag makes a backlog too: after a stall it sends many requests at once, and
answers that came meanwhile are still unread. By how much later than without any lag an answer is
read has a bound (``schedule_lag.DELAYS``), so that at most the arrivals of so long a time are
permille's own backlog, however often it stalled. Growth beyond that is the server's. A stalled
process therefore hides no slow server; it only makes the window longer.
"""

from __future__ import annotations

import math
from typing import Literal

from permille.analysis.schedule_lag import DELAYS

OVERLOAD_SIGMAS = 2.5
"""Growth of the backlog that is not chance, in square roots of the arrivals."""
STEADY_GROWTH, STEADY_SHARE = 4, 0.1
"""A server keeps up with less growth than this many requests, or this share of the arrivals."""
MOST_IN_FLIGHT = 512
"""With more waiting requests in an open loop, the server cannot keep up."""
MOST_THREADS = 2 * MOST_IN_FLIGHT
"""The most requests in flight, each with a thread of its own, whoever is to blame for them."""
LEAST_EXTENDED, MOST_EXTENSION = 50, 4
"""How far permille's own lag extends a window, see :func:`most_extended`. A queue that a burst made
is gone by then, unless the server is close to its limit; and a permille that is too slow for the
rate never catches up."""

Verdict = Literal["steady", "overload", "held-up", "unclear"]
"""``held-up``: permille's own lag may be what the backlog has grown by; ``unclear``: chance may."""


def arrivals_in(rate_per_s: float, time_ns: int) -> int:
    """The requests that become due in a time, on average."""
    return int(rate_per_s * time_ns / 1e9)


def own_backlog(rate_per_s: float, lag_ns: int) -> int:
    """The requests of the backlog that permille's own lag explains, at most."""
    return arrivals_in(rate_per_s, DELAYS * lag_ns)


def judge(grown: int, arrivals: int, *, own: int) -> Verdict:
    """What a backlog that has ``grown`` over so many arrivals says of the server, if up to ``own``
    requests of it may be due to permille's own lag."""
    chance = max(STEADY_GROWTH, OVERLOAD_SIGMAS * math.sqrt(arrivals))
    steady = max(STEADY_GROWTH, STEADY_SHARE * arrivals)
    if grown - own > chance:
        return "overload"
    if grown <= min(chance, steady):
        return "steady"
    return "held-up" if grown > chance or grown - own <= steady else "unclear"


def judge_in_flight(in_flight: int, *, own: int) -> Verdict:
    """What so many requests in flight say, at any time."""
    if in_flight - own > MOST_IN_FLIGHT:
        return "overload"
    return "held-up" if in_flight > MOST_THREADS else "steady"


def most_extended(arrivals: int, *, own: int) -> int:
    """The arrivals at which a window ends in an error that was complete, but for permille's own
    backlog, after so many."""
    # A permille that is too slow for the rate has ever more of it.
    return MOST_EXTENSION * (max(arrivals, LEAST_EXTENDED) + min(own, MOST_THREADS))
