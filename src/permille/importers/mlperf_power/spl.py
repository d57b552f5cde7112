"""``spl.txt``: what SPEC PTDaemon logged of the meter, one sample a second.

::

    Time,12-23-2020 10:21:51.496,Watts,23.430000,Volts,228.370000,Amps,0.204280,PF,0.502300,Mark,…

The watts are the mean since the sample before. With several channels they are their sum, and the
channels follow.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from permille.importers import Tally
from permille.importers.reading.files import Member
from permille.importers.reading.rows import lines
from permille.records.energy import Refused

TIME_FORMAT = "%m-%d-%Y %H:%M:%S.%f"
MOST_TIME = 40
MOST_SAMPLES = 5_000_000
"""The most samples of one import: two months."""
MOST_GAP_S = 3.0
"""The meter is read once a second; a longer gap leaves too much to guess."""
CLOCKS_S = 0.5
"""How far the clocks of LoadGen's machine and of the meter's may differ: more than this is refused
by MLPerf's own checker (TIME_DELTA_TOLERANCE, mlcommons/power-dev, compliance/check.py)."""


class Samples:
    """Times (seconds since 1970, in the log's own zone) and mean watts since the sample before.
    ``unread``: samples without a power."""

    def __init__(self) -> None:
        # Sixteen bytes a sample; pairs in a list would take seven times that, of millions.
        self.t_s = array("d")
        self.power_w = array("d")
        self.unread = 0


class Metered(NamedTuple):
    """Energy between two times, and the standard uncertainty (k = 1) of its edges, in joules."""

    energy_j: float
    edge_j: float


def seconds(text: str) -> float:
    """A time as both logs write it, in seconds since 1970 without its zone.

    Raises:
        ValueError: it is no such time.
    """
    if len(text) > MOST_TIME:
        raise ValueError("not a time")
    return datetime.strptime(text.strip(), TIME_FORMAT).replace(tzinfo=UTC).timestamp()


def read(member: Member, tally: Tally, room: int) -> Samples:
    """The samples of a log; bad lines are counted and named. ``room``: how many may still be kept.

    Raises:
        ValueError: there are more.
    """
    samples = Samples()
    for number, line in lines(member, tally):
        if not line.startswith("Time,"):  # PTDaemon's own remarks, and empty lines
            continue
        fields = line.split(",", 4)
        try:
            t_s = seconds(fields[1])
            if fields[2] != "Watts":
                raise ValueError("no Watts after the time")
            power_w = float(fields[3])
        except (ValueError, IndexError) as error:
            tally.rows += 1
            tally.leave_out(member.name, number, f"not a sample of PTDaemon: {error}")
            continue
        # If the clock was set back, one time is in the log twice; and between() needs sorted times
        # for its bisection.
        if samples.t_s and t_s <= samples.t_s[-1]:
            raise ValueError(f"line {number}: the time does not increase")
        if not math.isfinite(power_w) or power_w <= 0:
            samples.unread += 1  # PTDaemon logs what it could not read as NaN or −1
            continue
        if len(samples.t_s) >= room:
            raise ValueError(f"more than {MOST_SAMPLES:,} samples in one import")
        samples.t_s.append(t_s)
        samples.power_w.append(power_w)
    return samples


def between(samples: Samples, begin_s: float, end_s: float) -> Metered | Refused:
    """The energy between two times of the same zone, by MLPerf's own rule: the mean of the samples
    in between, times the time.

    Each edge may cut a sample in two, and the clocks may differ: rectangular, of the longest step
    and :data:`CLOCKS_S` at the highest power.
    """
    # Strictly between the two, and samples of 0 W or less left out, as MLPerf's submission checker
    # does (mlcommons/inference, tools/submission).
    first, last = bisect_right(samples.t_s, begin_s), bisect_left(samples.t_s, end_s)
    inside_w = samples.power_w[first:last]
    if not inside_w:
        return Refused(reason="spl.txt has no sample between power_begin and power_end")
    times = [begin_s, *samples.t_s[first:last], end_s]
    gap_s = max(after - before for before, after in pairwise(times))
    if gap_s > MOST_GAP_S:
        return Refused(
            reason=f"spl.txt has no sample for {gap_s:.3g} s between power_begin and power_end"
        )
    mean_w = math.fsum(inside_w) / len(inside_w)
    # Each of the two edges has the standard uncertainty a / sqrt(3) (GUM, 4.3.7), in quadrature.
    edge_j = math.sqrt(2 / 3) * (gap_s + CLOCKS_S) * max(inside_w)
    return Metered(mean_w * (end_s - begin_s), edge_j)
