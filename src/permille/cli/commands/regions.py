"""``permille regions``: the regions with a known grid intensity, and its source."""

from __future__ import annotations

import argparse
from typing import get_args

from permille.carbon.lookup import find, fold
from permille.carbon.table import (
    EmissionKind,
    GridPlace,
    GridTable,
    Intensity,
    PlaceKind,
    grid_table,
)
from permille.cli import terminal
from permille.cli.arguments import add_json
from permille.errors import CarbonError
from permille.escaping import plain
from permille.records import JsonOutput, Record

EXAMPLES = """examples:
  permille regions france
  permille regions us-west --json
"""


class Region(Record):
    """A place whose grid is known. ``grid`` is the place that the newest figure (``year``) is of,
    gCO2e/kWh; ``emissions``: lifecycle, or direct alone."""

    region: str
    alpha2: str | None
    kind: PlaceKind
    name: str
    grid: str
    years: tuple[int, ...]
    year: int
    intensity_g_per_kwh: float
    emissions: EmissionKind
    source: str


class RegionSource(Record):
    """Who published figures of these places, and under which licence."""

    source: str
    name: str
    emissions: EmissionKind
    licence: str
    url: str
    attribution: str


class Regions(JsonOutput):
    """What ``permille regions --json`` prints."""

    regions: tuple[Region, ...]
    sources: tuple[RegionSource, ...]


OUTPUTS = {"regions": Regions}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("query", nargs="?", metavar="PLACE", help="part of a code or name")
    parser.add_argument("--kind", choices=get_args(PlaceKind), help="only regions of this kind")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """List the regions.

    Raises:
        CarbonError: nothing matches.
    """
    table = grid_table()
    places = [
        place
        for place in table.places.values()
        if args.kind in (None, place.kind) and _matches(table, place, args.query)
    ]
    if not places:
        if args.query is not None:
            find(args.query)  # the error suggests similar names
        raise CarbonError("no region of that kind matches; see: permille regions")
    if args.json:
        regions = tuple(_region(table, place) for place in places)
        terminal.print_json(Regions(regions=regions, sources=_sources(table, places)))
    else:
        _print(table, places)
    return 0


def _matches(table: GridTable, place: GridPlace, query: str | None) -> bool:
    if query is None:
        return True
    if query.upper() in table.places:  # a code: the region, and the cloud regions that use its grid
        return query.upper() in (place.code, _newest(table, place).code)
    names = (place.code, place.alpha2 or "", table.full_name(place), *place.aliases)
    wanted = fold(query)
    # fold() leaves nothing of punctuation, and an empty text is a part of every name.
    return bool(wanted) and any(wanted in fold(name) for name in names)


def _newest(table: GridTable, place: GridPlace) -> Intensity:
    figures = table.of(place)
    return figures[max(figures)]


def _region(table: GridTable, place: GridPlace) -> Region:
    newest = _newest(table, place)
    return Region(
        region=place.code,
        alpha2=place.alpha2,
        kind=place.kind,
        name=table.full_name(place),
        grid=newest.code,
        years=tuple(sorted(table.of(place))),
        year=newest.year,
        intensity_g_per_kwh=newest.g_per_kwh,
        emissions=newest.source.kind,
        source=newest.source.id,
    )


def _sources(table: GridTable, places: list[GridPlace]) -> tuple[RegionSource, ...]:
    # Of every year that is listed, not only of the newest.
    used = {i.source.id: i.source for place in places for i in table.of(place).values()}
    return tuple(
        RegionSource(
            source=source.id,
            name=source.name,
            emissions=source.kind,
            licence=source.licence,
            url=source.url,
            attribution=source.attribution,
        )
        for source in used.values()
    )


def _print(table: GridTable, places: list[GridPlace]) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, header_style="bold", pad_edge=False)
    for header in ("region", "place", "g/kWh", "year", "also", "counts", "source", "licence"):
        grid.add_column(header, justify="right" if header == "g/kWh" else "left")
    for place in places:
        newest = _newest(table, place)
        others = ", ".join(str(year) for year in sorted(table.of(place)) if year != newest.year)
        cells = (
            place.code,
            table.full_name(place),
            f"{newest.g_per_kwh:.0f}",
            str(newest.year),
            others,
            newest.source.kind,
            newest.source.name,
            newest.source.licence,
        )
        grid.add_row(*(Text(plain(cell)) for cell in cells))
    terminal.console().print(grid)
