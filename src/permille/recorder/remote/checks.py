"""Check an agent's answers, which nothing else has validated yet. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from permille.recorder.remote.protocol import (
    PROTOCOL,
    AgentAnswer,
    Opened,
    Taken,
    Versioned,
)
from permille.records.recording import Domain, RecorderStats, Recording, Series

MOST_ENTRIES = 200
"""The most domains, notes, facts and the like."""
LONGEST_TEXT = 1_000
MOST_READINGS = 5_000_000
MOST_EVENTS = 10_000
LATEST_NS = 2**61
"""A monotonic clock shows this after 73 years."""
MOST_J = 1e15
_NAME = re.compile(r"[\w:.+-]{1,60}")
_DIGEST = re.compile(r"[0-9a-f]{12,64}")


def answer_of(content: bytes) -> AgentAnswer:
    """The answer in a body.

    Raises:
        ValueError: it is not one, or of another version of the protocol.
    """
    try:
        version = msgspec.msgpack.decode(content, type=Versioned).protocol
        if version != PROTOCOL:
            raise ValueError(
                f"the agent speaks version {version} of the protocol, and this permille"
                f" {PROTOCOL}: install the same permille on both machines"
            )
        answer = msgspec.msgpack.decode(content, type=AgentAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the answer is malformed: {str(error)[:200]}") from error
    if not all(0 <= t_ns < LATEST_NS for t_ns in (answer.arrived_ns, answer.answered_ns)):
        raise ValueError("the answer has impossible times")
    return answer


def opened_of(answer: AgentAnswer) -> Opened:
    """What an agent says about its machine.

    Raises:
        ValueError: it is not plausible.
    """
    opened = answer.body
    if not isinstance(opened, Opened):
        raise ValueError("it did not open its recorder")
    _check_plain(msgspec.to_builtins(opened))
    digests = [opened.environment.fingerprint, opened.lease]
    digests += [digest for digest in (opened.machine, opened.boot) if digest is not None]
    if not all(map(_DIGEST.fullmatch, digests)):
        raise ValueError("an id of the machine is not a digest")
    names = [domain.name for domain in opened.domains]
    if not names or len(set(names)) < len(names) or not all(map(_NAME.fullmatch, names)):
        raise ValueError("its domains have no names, or one twice")
    if not 0 < opened.interval_s <= 60:
        raise ValueError(f"it reads its meters every {opened.interval_s:g} s")
    for domain in opened.domains:
        _check_domain(domain)
    return opened


def recording_of(answer: AgentAnswer, opened: Opened) -> Recording:
    """The recording of the agent that answered ``opened`` before.

    Raises:
        ValueError: it is not a recording of these meters, or contains impossible readings.
    """
    if not isinstance(answer.body, Taken):
        raise ValueError("the answer has no recording")
    recording = answer.body.recording
    domains = {domain.name: domain for domain in opened.domains}
    checks = [series.domain.name for series in recording.cross_checks]
    names = [series.domain.name for series in recording.series] + checks
    # Each exactly once: a domain that is left out would be missing from every sum.
    if sorted(names) != sorted(domains):
        raise ValueError("the recording is not of the agent's domains")
    for series in (*recording.series, *recording.cross_checks):
        _check_series(series, domains[series.domain.name])
    _check_events(recording, domains)
    _check_stats(recording.stats)
    return recording


def _check_events(recording: Recording, names: Container[str]) -> None:
    if len(recording.events) > MOST_EVENTS:
        raise ValueError(f"more than {MOST_EVENTS:,} events")
    for event in recording.events:
        if not 0 <= event.t0_ns <= event.t1_ns < LATEST_NS:
            raise ValueError("an event at an impossible time")
        if len(event.reason) > LONGEST_TEXT or not (event.domain is None or event.domain in names):
            raise ValueError("an event of nothing known, or a long one")


def _check_stats(stats: RecorderStats) -> None:
    if not all(math.isfinite(s) and s >= 0 for s in (stats.cpu_s, stats.wall_s, stats.interval_s)):
        raise ValueError("the recorder's own cost is negative or not a number")
    if not 0 <= stats.missed < LATEST_NS or not 0 <= stats.polls < LATEST_NS:
        raise ValueError("the recorder's polls are negative")


def _check_domain(domain: Domain) -> None:
    numbers = [domain.accuracy_low, domain.accuracy_high, domain.offset_w]
    optional = (
        domain.resolution_j,
        domain.tick_s,
        domain.wrap_j,
        domain.max_power_w,
        domain.time_w,
    )
    numbers += [number for number in optional if number is not None]
    if domain.sensor is not None:
        numbers += [domain.sensor.window_s, domain.sensor.period_s, domain.sensor.sampled]
        if domain.sensor.period_s <= 0 or not 0 < domain.sensor.sampled <= 1:
            raise ValueError(f"{domain.name}: a sensor that never samples")
    # NaN would pass this; _check_plain has refused it.
    if min(numbers) < 0:
        raise ValueError(f"{domain.name}: a negative property")


def _check_series(series: Series, domain: Domain) -> None:
    # Whether a device is in use is known at the end only.
    if msgspec.structs.replace(series.domain, in_use=domain.in_use) != domain:
        raise ValueError(f"{domain.name} has changed since the run began")
    times, levels = series.t_ns, series.energy_j
    # The run itself sets clock_s, once it has aligned the clocks.
    if len(times) != len(levels) or len(times) > MOST_READINGS or series.clock_s != 0:
        raise ValueError(f"{domain.name}: not one reading a time")
    if times and not (times[0] >= 0 and times[-1] < LATEST_NS):
        raise ValueError(f"{domain.name}: readings at impossible times")
    if any(later <= earlier for earlier, later in pairwise(times)):
        raise ValueError(f"{domain.name}: readings out of order")
    if not all(0 <= level_j < MOST_J for level_j in levels):  # false for NaN
        raise ValueError(f"{domain.name}: a reading that is not an energy")
    if any(later < earlier for earlier, later in pairwise(levels)):
        raise ValueError(f"{domain.name}: energy that decreases")


def _check_plain(value: Any) -> None:
    """Refuse long texts, many entries and numbers that are not finite, at any depth (which the
    types limit)."""
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise ValueError(f"a text of {len(value):,} characters")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number that is not finite")
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        if len(value) > MOST_ENTRIES:
            raise ValueError(f"{len(value):,} entries")
        for inner in value.values() if isinstance(value, Mapping) else value:
            _check_plain(inner)
        for key in value if isinstance(value, Mapping) else ():
            _check_plain(key)
