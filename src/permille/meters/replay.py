"""Replay a recording: its series as domains, at the recorded pace.

PERMILLE_REPLAY names a file that holds a :class:`permille.records.recording.Recording` as JSON, or
as MessagePack. Provenance ``replayed``: it says nothing about a run made during the replay.
"""

from __future__ import annotations

import bisect
import math
import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec

from permille.errors import UsageError
from permille.meters import MeterUnavailable, Observation, Reading
from permille.records.recording import Provenance, Recording, Series

LIMIT_BYTES = 256 << 20


def open_meter() -> ReplayMeter:
    """The recording that PERMILLE_REPLAY names.

    Raises:
        MeterUnavailable: PERMILLE_REPLAY is not set.
        UsageError: it names a file that is not a recording.
    """
    path = os.environ.get("PERMILLE_REPLAY")
    if not path:
        raise MeterUnavailable(
            "no recording to replay", "name one in PERMILLE_REPLAY and `replay` in PERMILLE_METERS"
        )
    return ReplayMeter(load_recording(Path(path)))


def load_recording(path: Path) -> Recording:
    """The recording in a file: JSON if its name ends in ``.json``, otherwise MessagePack.

    Raises:
        UsageError: it cannot be read, or is not a recording that can be played.
    """
    try:
        size = path.stat().st_size
        if size > LIMIT_BYTES:
            raise UsageError(f"{path} is {size >> 20} MiB; a recording has at most 256 MiB")
        raw = path.read_bytes()
        decode = msgspec.json.decode if path.suffix == ".json" else msgspec.msgpack.decode
        recording = decode(raw, type=Recording)
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not a recording: {error}") from error
    for series in recording.series:
        problem = why_unplayable(series)
        if problem:
            raise UsageError(f"{path}, series {series.domain.name}: {problem}")
    return recording


def why_unplayable(series: Series) -> str | None:
    """The error in a series; None if it can be replayed."""
    if len(series.t_ns) != len(series.energy_j) or len(series.t_ns) < 2:
        return "it needs two instants or more, each with its energy"
    if any(b <= a for a, b in pairwise(series.t_ns)):
        return "its times do not increase"
    if not all(map(math.isfinite, series.energy_j)):
        return "an energy is not finite"
    if any(b < a for a, b in pairwise(series.energy_j)):
        return "its energy decreases"
    return None


class ReplayMeter:
    """A recording replayed from its start, which is when the meter is created."""

    name = "replay"
    slow = False
    looks_at_pids = False
    max_interval_s = math.inf

    def __init__(
        self, recording: Recording, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._series = recording.series
        self._clock_ns = clock_ns
        self._start_ns = clock_ns()
        # One start for all series, so that they keep their distances in time.
        self._first_ns = min((series.t_ns[0] for series in recording.series), default=0)
        # No wrap_j: a recorded series is unwrapped, and would be taken for one that wraps again.
        self.domains = tuple(
            msgspec.structs.replace(
                series.domain, meter="replay", provenance=Provenance.REPLAYED, wrap_j=None
            )
            for series in recording.series
        )

    def read(self) -> list[Reading]:
        """Every domain now, interpolated between recorded times."""
        t_ns = self._clock_ns()
        at_ns = self._first_ns + (t_ns - self._start_ns)
        readings = []
        for series in self._series:
            energy_j = energy_at(series, at_ns)
            error = None if energy_j is not None else "the recording ends before this time"
            readings.append(Reading(series.domain.name, t_ns, energy_j=energy_j, error=error))
        return readings

    def observe(self, pids: frozenset[int]) -> Observation:
        """Only the series are replayed."""
        del pids
        return Observation(identity="replay")

    def close(self) -> None:
        """There is nothing to release."""


def energy_at(series: Series, t_ns: int) -> float | None:
    """Cumulative joules of ``series`` at ``t_ns`` by linear interpolation; None outside it."""
    # Not the function of energy.levels: meters and energy are packages of one layer, which never
    # import each other (pyproject.toml).
    times = series.t_ns
    if not times[0] <= t_ns <= times[-1]:
        return None
    after = bisect.bisect_left(times, t_ns)
    if times[after] == t_ns:
        return series.energy_j[after]
    before = after - 1
    share = (t_ns - times[before]) / (times[after] - times[before])
    return series.energy_j[before] + share * (series.energy_j[after] - series.energy_j[before])
