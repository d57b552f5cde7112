"""The lines and totals of ``permille watch`` for people."""

from __future__ import annotations

from collections.abc import Callable

from permille.analysis.estimates import Interval
from permille.escaping import plain
from permille.units import (
    counted,
    format_energy_j,
    format_energy_kwh,
    format_mass_g,
    format_share,
    kwh_from_wh,
)
from permille.units import format_number as number
from permille.watch.kept import KeptWatch
from permille.watch.ledger import WatchLine, WatchTotal


def line_text(line: WatchLine) -> str:
    """One line for a terminal: what is unknown is "–", never 0."""
    energy = line.energy_j
    watts = None if energy is None or energy.value is None else energy.value / line.seconds
    parts = [
        # HH:MM:SS of an ISO 8601 time: a line of a terminal has no room for the date.
        line.t[11:19],
        "– W" if watts is None else f"{number(watts)} W",
        f"{_or_dash(line.requests_per_s)} requests/s",
        f"{_or_dash(line.tokens_per_s)} tokens/s",
        f"{_joules(line.j_per_token)} per token",
        f"{_wh(line.wh_per_1000)}, {_grams(line.co2e_g_per_1000)} per 1,000 requests",
        str(line.provenance or "no figure"),
    ]
    if line.idle:
        parts.append("idle")
    for name, model in line.models.items():
        # Counters of a model stay in /metrics when it has no more work.
        if model.tokens.output:
            parts.append(f"{name}: {number(model.tokens.output)} tokens")
    parts += line.notes
    return plain("  ".join(parts))


def total_text(total: WatchTotal) -> str:
    """The watch as a whole."""
    idle = "" if total.idle_share is None else f", {format_share(total.idle_share)} of it idle"
    lines = [
        f"{number(total.seconds)} s with both energy and counts{idle}: {_joules(total.energy_j)}",
        f"{_joules(total.j_per_token)} per output token; {_wh(total.wh_per_1000)},"
        f" {_grams(total.co2e_g_per_1000)} CO2e per 1,000 requests",
        f"{_or_dash(total.requests)} requests, {_or_dash(total.tokens.output)} output tokens",
    ]
    # Otherwise the energy would seem to be that of the whole watch.
    if total.left_out_s:
        seconds = counted(round(total.left_out_s), "second")
        lines.append(f"{seconds} left out, whose energy or counts are unknown")
    lines += map(plain, total.notes)
    return "\n".join(lines)


def report_head(kept: KeptWatch) -> str:
    """A kept watch in one line: its id, what was watched, and when."""
    head = kept.head
    server = "a server that is unknown" if head is None else (head.server or "an unknown server")
    parts = [f"watch {kept.id}: {server}"]
    # Without its head, the energy of the watch is still known from its windows.
    if head is not None:
        parts.append(head.metrics)
    if kept.lines:
        parts.append(f"{kept.lines[0].t[:19]} to {kept.lines[-1].t[:19]} UTC")
    parts.append(counted(len(kept.lines), "window"))
    if kept.missing:
        parts.append(f"{kept.missing} missing")
    return plain(", ".join(parts))


def _or_dash(value: float | None) -> str:
    return "–" if value is None else number(value)


def _joules(estimate: Interval | None) -> str:
    return _with_interval(estimate, format_energy_j)


def _wh(estimate: Interval | None) -> str:
    return _with_interval(estimate, lambda wh: format_energy_kwh(kwh_from_wh(wh)))


def _grams(estimate: Interval | None) -> str:
    return _with_interval(estimate, format_mass_g)


def _with_interval(estimate: Interval | None, show: Callable[[float], str]) -> str:
    if estimate is None or estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return show(estimate.value)
    return f"{show(estimate.value)} [{show(estimate.low)}, {show(estimate.high)}]"
