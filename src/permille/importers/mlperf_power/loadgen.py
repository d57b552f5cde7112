"""LoadGen's logs of one run: ``mlperf_log_detail.txt`` and ``mlperf_log_summary.txt``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from permille.importers import Tally
from permille.importers.reading.files import Member
from permille.importers.reading.rows import lines
from permille.records.answers import Latency

PREFIX = ":::MLLOG "
SCENARIOS = ("SingleStream", "MultiStream", "Server", "Offline")
_WANTED = {
    "effective_scenario",
    "effective_test_mode",
    "generated_query_count",
    "generated_samples_per_query",
    "loadgen_version",
    "power_begin",
    "power_end",
    "result_50.00_percentile_latency_ns",
    "result_95.00_percentile_latency_ns",
    "result_99.00_percentile_latency_ns",
    "result_mean_latency_ns",
    "result_query_count",
    "result_samples_per_second",
    "result_completed_samples_per_sec",
    "result_validity",
}
_SUMMARY = {"SUT name": "sut_name"}
MOST_TEXT = 300
MOST_SAMPLES = 2**53


class _Entry(msgspec.Struct):
    key: str
    value: Any


def detail(member: Member, tally: Tally) -> dict[str, Any]:
    """The entries that a trial needs, the last of each; bad lines are counted and named."""
    decoder = msgspec.json.Decoder(_Entry)
    entries: dict[str, Any] = {}
    for number, line in lines(member, tally):
        if not line.startswith(PREFIX):
            continue
        try:
            entry = decoder.decode(line[len(PREFIX) :])
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            tally.rows += 1
            tally.leave_out(member.name, number, f"not an entry of LoadGen: {error}")
            continue
        if entry.key in _WANTED and isinstance(entry.value, str | int | float):
            # Cut here and not where it is read: a line may have a MiB, and the logs of MOST_RUNS
            # runs are held at once.
            value = entry.value
            entries[entry.key] = value[:MOST_TEXT] if isinstance(value, str) else value
    return entries


def summary(member: Member, tally: Tally) -> dict[str, Any]:
    """The name of the system under test."""
    entries: dict[str, Any] = {}
    for _, line in lines(member, tally):
        name, colon, value = line.partition(":")
        if colon and name.strip() in _SUMMARY:
            entries.setdefault(_SUMMARY[name.strip()], value.strip()[:MOST_TEXT])
    return entries


def text(log: Mapping[str, Any], key: str) -> str | None:
    """A text, of limited length; None if it is missing."""
    value = log.get(key)
    return value[:MOST_TEXT] if isinstance(value, str) and value else None


def scenario(log: Mapping[str, Any]) -> str:
    """The scenario of a performance run.

    Raises:
        ValueError: it is missing or unknown, or the run is for accuracy.
    """
    mode = text(log, "effective_test_mode")
    if mode not in (None, "PerformanceOnly"):
        raise ValueError(f"a run in mode {mode[:40]!r}: import the performance run")
    name = text(log, "effective_scenario")
    if name not in SCENARIOS:
        raise ValueError(f"unknown scenario {str(name)[:40]!r}; known: {', '.join(SCENARIOS)}")
    return name


def samples(log: Mapping[str, Any], of_scenario: str) -> int:
    """How many samples were processed: the issued queries times the samples of each.

    Raises:
        ValueError: the log does not say.
    """
    queries = log.get("result_query_count")
    if queries is None and of_scenario == "Offline":
        queries = log.get("generated_query_count")  # one query, which is always issued
    if queries is None:
        raise ValueError("no result_query_count: LoadGen before 2.0 does not log it; not supported")
    count = _whole(queries, "result_query_count") * _whole(
        log.get("generated_samples_per_query"), "generated_samples_per_query"
    )
    if count > MOST_SAMPLES:
        raise ValueError(f"{count} samples are more than any run has")
    return count


def rate(log: Mapping[str, Any]) -> float | None:
    """Samples per second as LoadGen logged them; None where its scenario has no such figure."""
    # Offline logs the first and Server the second (mlcommons/inference, loadgen/results.cc).
    for key in ("result_samples_per_second", "result_completed_samples_per_sec"):
        if (value := _positive(log.get(key))) is not None:
            return value
    return None


def latency(log: Mapping[str, Any], of_scenario: str, count: int) -> Latency | None:
    """Seconds per sample; None for Offline, where all wait for one query, and if incomplete."""
    if of_scenario == "Offline":
        return None
    percentile = "result_{}_percentile_latency_ns"
    p50, p95, p99, mean = (
        _positive(log.get(key))
        for key in (
            *(percentile.format(share) for share in ("50.00", "95.00", "99.00")),
            "result_mean_latency_ns",
        )
    )
    if p50 is None or p95 is None or mean is None:
        return None
    tail = None if p99 is None else p99 / 1e9
    return Latency(p50=p50 / 1e9, p95=p95 / 1e9, mean=mean / 1e9, n=count, p99=tail)


def _whole(value: object, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_SAMPLES:
        raise ValueError(f"{key} is {value!r:.40}, not a whole number from 1 up")
    return value


def _positive(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < 1e18 else None
