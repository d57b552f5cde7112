"""``permille results``: the table, from the store."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from functools import partial

from msgspec import structs

from permille.analysis import comparable
from permille.analysis.cell_summary import Summary
from permille.analysis.estimates import Interval, estimate_of
from permille.analysis.evidence_words import (
    ONE_SESSION,
    estimate_text,
    estimated_notes,
    over_sessions,
)
from permille.analysis.results import ResultRow, Results, result_rows, rows_in_place_of
from permille.analysis.schedule_lag import LATE
from permille.carbon.settings import CarbonSettings
from permille.cli.arguments import (
    add_impacts,
    add_json,
    add_reading,
    add_store,
    carbon_of,
    impacts_of,
)
from permille.cli.source import all_summaries_of, refuse_unmatched, say_damage
from permille.cli.table import results_table
from permille.cli.terminal import console, print_json, say_last
from permille.collector import without_collector
from permille.energy.disturbance import OVER_TRIALS
from permille.errors import UsageError
from permille.escaping import plain
from permille.units import (
    format_energy_j,
    format_energy_kwh,
    format_mass_g,
    format_number,
    format_share,
)

EXAMPLES = """examples:
  permille results --region FRA
  permille results --study quickstart --boundary node --net --json
"""


OUTPUTS = {"results": Results}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille results``."""
    parser.epilog = EXAMPLES
    add_store(parser)
    add_reading(parser, market=True)
    add_impacts(parser)
    parser.add_argument("--task", help="only this task")
    parser.add_argument(
        "--superseded",
        action="store_true",
        help="also the figures of older code or settings, with what differs",
    )
    parser.add_argument("--explain", action="store_true", help="show the parts of each interval")
    add_json(parser)


@without_collector()
def run(args: argparse.Namespace) -> int:
    """Print the table.

    Raises:
        UsageError: there are results, and none of the task; or options contradict each other.
    """
    if args.json and args.explain:
        raise UsageError("--explain is a part of the table, which --json replaces: leave one out")
    # A wrong region or lifespan is refused before a large store is read.
    carbon = carbon_of(args)
    added = impacts_of(args, carbon)
    everything, boundary, damage, notice, reference = all_summaries_of(args, program=args.json)
    if args.task is not None:
        tasks = [s.cell.task for s in everything]
        if everything and args.task not in tasks:
            refuse_unmatched("task", args.task, tasks, damage)
        everything = [s for s in everything if s.cell.task == args.task]
    # A figure is superseded by one of its own task: the selection takes nothing from that.
    summaries, older = comparable.split(everything)
    del everything  # Each summary is freed when its row is made.
    shown_older = older if args.superseded else []
    old = [o.summary for o in shown_older]
    explained = [*summaries, *old] if args.explain else []
    rows = rows_in_place_of(summaries, carbon, net=args.net, added=added)
    rows += [
        # A superseded figure cannot be on the Pareto front.
        structs.replace(row, pareto=None, superseded=o.differs)
        for row, o in zip(
            result_rows(old, carbon, net=args.net, added=added), shown_older, strict=True
        )
    ]
    results = Results.of(
        rows,
        boundary,
        carbon,
        net=args.net,
        damage=damage,
        superseded=len(older),
        reference=reference,
        added=added,
    )
    if args.json:
        print_json(results)
    else:
        show(results, explained)
    say_last(notice)
    return say_damage(damage)


def show(results: Results, explained: Sequence[Summary] = ()) -> None:
    """Print the table for people, the assumptions behind it, and the parts of the intervals of
    those to be ``explained``."""
    from rich.text import Text

    out = console()
    if not results.rows:
        out.print("no results yet; try: permille run quickstart")
        return
    out.print(results_table(results.rows, net=results.net))
    for line in footing(results):
        out.print(Text(plain(line)), soft_wrap=True)
    if explained:
        # net: the parts are those of the interval that the row shows.
        from permille.analysis.budget import budget

        for line in (line for s in explained for line in budget(s, net=results.net)):
            out.print(Text(plain(line)), soft_wrap=True)


def carbon_text(carbon: CarbonSettings) -> str:
    """The grid in words: its intensity, name, year and caveats."""
    year = f" {carbon.year}" if carbon.year else ""
    note = f"; {carbon.note}" if carbon.note else ""
    return f"{carbon.intensity_g_per_kwh:g} gCO2e/kWh ({carbon.name}{year}{note})"


def footing(results: Results) -> list[str]:
    """The lines below the table: boundary, grid, provenance, problems and notes."""
    carbon = results.carbon
    lines = [
        f"boundary: {results.boundary}; in brackets, 95 % intervals; carbon:"
        f" {carbon_text(carbon)}, PUE {carbon.pue:g}"
    ]
    lines += _session_lines(results.rows)
    if any(r.pareto for r in results.rows):
        lines.append("* no other model of its task and dataset needs less energy and is as good")
    lines += _unit_lines(results.rows)
    lines += _reasoning_lines(results.rows)
    lines += _split_lines(results.rows)
    lines += _superseded_lines(results)
    lines += _carbon_lines(results.rows)
    lines += _impact_lines(results)
    # The note is about permille's own estimate; other tools estimate in other ways.
    lines += estimated_notes(
        r.meter for r in results.rows if r.source == "permille" and r.provenance == "estimated"
    )
    lines += _reason_lines(results.rows)
    lines += _problem_lines(results.rows)
    lines += results.reference
    lines += _disturbance_lines(results.rows)
    lines += _late_lines(results.rows)
    lines += _note_lines(results.rows)
    return lines


def _session_lines(rows: Sequence[ResultRow]) -> list[str]:
    """What the intervals are over, and where one more session's figures would lie."""
    # None: a figure without an interval, or of trials that were measured without sessions.
    sessions = [r.kwh_per_1000.sessions for r in rows]
    lines = [f"intervals: {ONE_SESSION}"] if 1 in sessions else []
    several = [r for r, n in zip(rows, sessions, strict=True) if n is not None and n > 1]
    for row in several[:MOST_LINES]:
        figure = estimate_of(row.kwh_per_1000)
        assert figure is not None
        lines.append(f"{_where(row)}: {over_sessions(figure, format_energy_kwh)}")
    if len(several) > MOST_LINES:
        lines.append(f"… and {len(several) - MOST_LINES} more over several sessions in --json")
    return lines


MOST_LINES = 8
"""Rows whose sessions or tokens are named below the table."""


_UNITS = {
    "image": ("image", 1),
    "audio_second": ("second of audio", 1),
    "embedded_token": ("1,000 tokens embedded", 1000),
}
"""Units of work in words, and how many of them that is."""


def _unit_lines(rows: Sequence[ResultRow]) -> list[str]:
    """The energy of an image, a second of audio or tokens embedded, where they are counted."""
    lines = []
    for r in rows:
        for unit, energy in r.per_unit.items():
            words, count = _UNITS[unit]
            text = estimate_text(energy, partial(_joules_of, count))
            lines.append(f"{_where(r)}: {text} per {words}")
    return _first(lines)


def _joules_of(count: int, energy_j: float) -> str:
    return format_energy_j(count * energy_j)


def _reasoning_lines(rows: Sequence[ResultRow]) -> list[str]:
    """How many of the tokens of an answer are reasoning."""
    lines = []
    for r in rows:
        each = r.tokens_each
        if each is not None and each.reasoning is not None and each.output is not None:
            tokens, reasoning = (
                estimate_text(count, format_number) for count in (each.output, each.reasoning)
            )
            lines.append(f"{_where(r)}: {tokens} output tokens an answer, reasoning {reasoning}")
    return _first(lines)


def _first(lines: Sequence[str]) -> list[str]:
    """The first lines, and how many more there are."""
    more = [f"… and {len(lines) - MOST_LINES} more rows in --json"]
    return [*lines[:MOST_LINES], *(more if len(lines) > MOST_LINES else [])]


def _split_lines(rows: Sequence[ResultRow]) -> list[str]:
    """What input and output tokens cost each, where they can be told apart."""
    lines = []
    for r in rows:
        split = r.token_split
        # One of the two alone is no split.
        if split is None or split.input is None or split.output is None:
            continue
        rest = "" if split.rest_w is None else f", {_watts(split.rest_w)} in any case"
        doubt = f"; {split.warning}" if split.warning else ""
        lines.append(
            f"{_where(r)}: {estimate_text(split.input, format_energy_j)} per input token,"
            f" {estimate_text(split.output, format_energy_j)} per output token{rest}{doubt}"
        )
    return _first(lines)


def _watts(interval: Interval) -> str:
    return estimate_text(interval, lambda watts: f"{format_number(watts)} W")


def _reason_lines(rows: Sequence[ResultRow]) -> list[str]:
    """Why trials failed, at most three reasons a row; ``--json`` has them all."""
    return [f"{_where(r)}: {reason}" for r in rows for reason in r.reasons[:3]]


def _problem_lines(rows: Sequence[ResultRow]) -> list[str]:
    """Why rows have no figure, unless a trial's reason already says so. A problem of the machine
    affects every row; it is printed once, so that the table does not scroll out of sight."""
    places_by_problem: dict[str, list[str]] = {}
    for r in rows:
        # The reasons of failed trials are printed already, and explain the missing figure.
        if r.problem and not r.reasons:
            places_by_problem.setdefault(r.problem, []).append(_where(r))
    lines = []
    for problem, places in places_by_problem.items():
        if len(places) > 3:
            places = [f"{len(places)} rows, first: {places[0]}"]
        lines += [f"{place}: no figure: {problem}" for place in places]
    return lines


def _disturbance_lines(rows: Sequence[ResultRow]) -> list[str]:
    """What others took of each row's trials; of many rows, a line for all."""
    found = [(_where(r), note) for r in rows for note in r.notes if note.startswith(OVER_TRIALS)]
    if len(found) > _MOST_DISTURBED:
        subjects = [one for one in OVER_TRIALS if any(note.startswith(one) for _, note in found)]
        subject = subjects[0] if len(subjects) == 1 else OVER_TRIALS[-1]
        return [f"{subject} trials of {len(found)} rows; --json has the share of each (disturbed)"]
    return [f"{where}: {note}" for where, note in found]


def _late_lines(rows: Sequence[ResultRow]) -> list[str]:
    """In which rows permille itself sent requests late."""
    return _first(
        [f"{_where(r)}: {note}" for r in rows for note in r.notes if note.startswith(LATE)]
    )


_MOST_DISTURBED = 5
"""Rows that are named with what others took of their trials."""


def _note_lines(rows: Sequence[ResultRow]) -> list[str]:
    # Notes that differ only in a number are printed once.
    notes = {re.sub(r"\d+", "", n): n for r in rows for n in r.notes}
    # These stand with their rows, in lines of their own.
    own = (*OVER_TRIALS, LATE)
    notes = {key: n for key, n in notes.items() if not n.startswith(own)}
    lines = [f"note: {note}" for note in list(notes.values())[:8]]
    if len(notes) > 8:
        lines.append(f"… and {len(notes) - 8} more notes in --json")
    return lines


def _where(row: ResultRow) -> str:
    return f"{row.model} on {row.dataset}"


def _superseded_lines(results: Results) -> list[str]:
    """How many rows are superseded by newer figures or, if they are shown, what differs."""
    shown = [r for r in results.rows if r.superseded]
    if shown:
        return [f"superseded: {_old_figure(r)}: {r.superseded}" for r in shown]
    count = results.superseded
    if not count:
        return []
    rows = "1 row" if count == 1 else f"{count} rows"
    return [
        f"{rows} of older code or settings, superseded by newer figures; --superseded shows them"
    ]


def _old_figure(row: ResultRow) -> str:
    kwh = row.kwh_per_1000.value
    figure = "no figure" if kwh is None else format_energy_kwh(kwh)
    return f"{_where(row)}, {figure}"


def _impact_lines(results: Results) -> list[str]:
    """What the figures of water and of embodied carbon are computed with."""
    lines = []
    water, embodied = results.water, results.embodied
    if water is not None:
        where = "" if water.region is None else f", {water.covers}"
        lines.append(
            f"water: {water.wue_l_per_kwh:g} L/kWh of IT equipment ({water.source}{where});"
            f" {water.scope}"
        )
    if embodied is not None:
        lines.append(
            f"embodied: {embodied.embodied_kg:g} kgCO2e per {embodied.device}"
            f" ({embodied.source}; ±{format_share(embodied.uncertainty)}), over"
            f" {embodied.lifespan_years:g} years of use; {embodied.scope}; not part of CO2e"
        )
        # Without this line, these rows would seem to have no embodied carbon.
        if any(row.embodied_g_per_1000 is None for row in results.rows):
            lines.append("embodied: n/a where no single accelerators were metered")
    return lines


def _carbon_lines(rows: Sequence[ResultRow]) -> list[str]:
    """SCI scores and market-based figures, if requested."""
    lines = []
    for r in rows:
        where = _where(r)
        if r.sci:
            lines.append(
                f"SCI of {where}: {format_mass_g(r.sci.g_per_1000)}CO2e per 1,000"
                f" ({format_mass_g(r.sci.embodied_g)} of it embodied)"
            )
        if r.market_co2e_g_per_1000 is not None:
            market = format_mass_g(r.market_co2e_g_per_1000)
            lines.append(f"market-based, in addition to the above: {where}: {market}CO2e per 1,000")
    return lines
