"""Results as the energy section of a model card (Markdown)."""

from __future__ import annotations

import re
from collections.abc import Callable

from permille.analysis.estimates import Interval, estimate_of
from permille.analysis.evidence_words import over_sessions
from permille.analysis.quality import ShownQuality
from permille.analysis.results import ResultRow, Results
from permille.analysis.rows import TimeFigures
from permille.escaping import plain
from permille.exporters import OfResults
from permille.exporters.single import grid_text, provenance_text
from permille.metrics import interval_text
from permille.units import (
    format_energy_j,
    format_energy_kwh,
    format_mass_g,
    format_number,
    format_seconds,
)

# Beyond CommonMark also what GitHub and the Hub read: @names, :emoji:, $mathematics$, bare links,
# which need no scheme if they begin with "www." (GitHub Flavored Markdown, 6.9).
_MARKS = re.compile(r"([\\`*_{}\[\]()#+\-!|<>~&:$@]|(?<=www)\.)")


def model_card(results: Results) -> str:
    """A section with a table of every row and the basis of its figures."""
    carbon = results.carbon
    lines = [
        "## Energy and carbon",
        "",
        "Per 1,000 inferences; in brackets, 95 % intervals.",
        "",
        "| model | task | dataset | energy | CO2e | p50 / p95 | quality | provenance | trials |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    lines += [f"| {' | '.join(_cells(row))} |" for row in results.rows]
    lines += _session_lines(results)
    lines += _token_lines(results)
    lines += _split_lines(results)
    lines += [
        "",
        f"Boundary: {results.boundary}. Grid: {escaped(grid_text(results))}"
        + (". The grid is assumed, because none was chosen." if carbon.assumed else ".")
        + (" Net of the machine's idle power." if results.net else ""),
        "",
        "Measured with permille. *Measured* figures come from an energy counter, *modelled* and"
        " *estimated* ones do not.",
        "",
    ]
    return "\n".join(lines)


def _session_lines(results: Results) -> list[str]:
    """What the intervals are over; each thing once."""
    known = [estimate_of(row.kwh_per_1000) for row in results.rows]
    words = [over_sessions(figure, format_energy_kwh) for figure in known if figure is not None]
    return [
        line
        for text in dict.fromkeys(words)
        if text is not None
        for line in ("", f"Intervals are {text}.")
    ]


def escaped(text: str) -> str:
    """Escape untrusted text for Markdown, so that it is shown literally: no markup, HTML or
    links."""
    # Shortened before it is escaped: half an escape at the end would escape what follows.
    return _MARKS.sub(r"\\\1", plain(text, limit=200)).replace("\\<", "&lt;").replace("\\>", "&gt;")


def _cells(row: ResultRow) -> list[str]:
    p50, p95 = row.latency_s.p50, row.latency_s.p95
    return [
        escaped(row.model),
        escaped(row.task),
        escaped(row.dataset),
        _figure(row.kwh_per_1000, format_energy_kwh),
        _figure(row.co2e_g_per_1000, format_mass_g),
        "n/a" if p50 is None or p95 is None else f"{format_seconds(p50)} / {format_seconds(p95)}",
        "n/a" if row.quality is None else _quality(row.quality),
        escaped(provenance_text(row)),
        str(row.trials.done),
    ]


def _token_lines(results: Results) -> list[str]:
    """A second table, of the rows with figures of tokens or streamed answers."""
    rows = [row for row in results.rows if row.per_token or row.ttft_s or row.tpot_s]
    if not rows:
        return []
    return [
        "",
        "| model | dataset | per output token | per token | answers / s | output tokens / s"
        " | first token p50 / p95 / p99 | output token p50 / p95 / p99 | answer p99 |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(f"| {' | '.join(_token_cells(row))} |" for row in rows),
    ]


def _token_cells(row: ResultRow) -> list[str]:
    tokens = row.per_token
    return [
        escaped(row.model),
        escaped(row.dataset),
        _figure(tokens.output if tokens else None, format_energy_j),
        _figure(tokens.all if tokens else None, format_energy_j),
        _figure(row.inferences_per_s, format_number),
        _figure(row.tokens_per_s_interval, format_number),
        _times(row.ttft_s),
        _times(row.tpot_s),
        _figure(row.request_s.intervals.p99 if row.request_s else None, format_seconds),
    ]


def _split_lines(results: Results) -> list[str]:
    """A third table, of the rows whose input and output tokens can be told apart or that count
    reasoning."""
    rows = [
        row
        for row in results.rows
        if (row.token_split and row.token_split.input)
        or (row.tokens_each and row.tokens_each.reasoning)
    ]
    if not rows:
        return []
    doubts = [row.token_split.warning for row in rows if row.token_split]
    return [
        "",
        "| model | dataset | an input token | an output token | at rest"
        " | output tokens an answer | reasoning tokens |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *(f"| {' | '.join(_split_cells(row))} |" for row in rows),
        "",
        "Input and output tokens apart are within compute, idle included.",
        *(f"{escaped(doubt)}." for doubt in dict.fromkeys(doubts) if doubt),
    ]


def _split_cells(row: ResultRow) -> list[str]:
    split, each = row.token_split, row.tokens_each
    return [
        escaped(row.model),
        escaped(row.dataset),
        _figure(split.input if split else None, format_energy_j),
        _figure(split.output if split else None, format_energy_j),
        _figure(split.rest_w if split else None, lambda watts: f"{format_number(watts)} W"),
        _figure(each.output if each else None, format_number),
        _figure(each.reasoning if each else None, format_number),
    ]


def _times(times: TimeFigures | None) -> str:
    if times is None:
        return "n/a"
    each = times.intervals
    return " / ".join(_figure(one, format_seconds) for one in (each.p50, each.p95, each.p99))


def _quality(quality: ShownQuality) -> str:
    words = interval_text(quality.metric, quality.value, quality.low, quality.high)
    return f"{escaped(quality.metric)} {words}"


def _figure(figure: Interval | None, form: Callable[[float], str]) -> str:
    if figure is None or figure.value is None:
        return "n/a"
    if figure.low is None or figure.high is None:
        return f"{form(figure.value)} [n/a]"
    return f"{form(figure.value)} [{form(figure.low)}, {form(figure.high)}]"


def _encoded(results: Results) -> bytes:
    return model_card(results).encode()


exporter = OfResults(_encoded, frozenset({"into"}))
"""The section, as a file or between markers in a page."""
