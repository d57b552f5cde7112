"""The grid table that ships with permille: places, annual intensities, and their sources.

Built by ``scripts/build_grid_table.py``; the licence of each source is in ``data/sources.csv``.
``data/electricity_maps.csv`` is separate because it is under the Open Database License.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from typing import Literal

from permille.records import Record

PlaceKind = Literal["world", "country", "state", "province", "zone", "cloud"]
EmissionKind = Literal["lifecycle", "direct"]

WORLD = "WORLD"


class GridSource(Record, frozen=True):
    """The source of a figure. ``kind`` says which emissions count: ``lifecycle`` includes fuel
    supply and the construction of plants, ``direct`` only the plants' own emissions."""

    id: str
    name: str
    kind: EmissionKind
    licence: str
    url: str
    attribution: str


class GridPlace(Record, frozen=True):
    """A place with a grid. ``code`` is ISO 3166-1 alpha-3 for a country, ISO 3166-2 for a state or
    province, Electricity Maps' code for a zone, ``cloud/region`` for a cloud region. ``grid`` is
    the place whose figures are used for a cloud region without its own."""

    code: str
    kind: PlaceKind
    alpha2: str | None
    name: str
    parent: str | None
    grid: str | None
    aliases: tuple[str, ...]


class Intensity(Record, frozen=True):
    """Average grid intensity (gCO2e/kWh) of a place over a calendar year."""

    code: str
    year: int
    g_per_kwh: float
    source: GridSource


class GridTable(Record, frozen=True):
    """The whole table: places by code, and each place's intensities by year, oldest first."""

    places: dict[str, GridPlace]
    intensities: dict[str, dict[int, Intensity]]

    def of(self, place: GridPlace) -> dict[int, Intensity]:
        """The intensities of ``place`` by year: its own, or those of its grid."""
        return self.intensities.get(place.code) or self.intensities[place.grid or place.code]

    def full_name(self, place: GridPlace) -> str:
        """A place's name, with its country's if it is in one: ``Québec, Canada``."""
        if place.kind in ("country", "cloud") or place.parent is None:
            return place.name
        return f"{place.name}, {self.places[place.parent].name}"


def _lines(name: str) -> list[dict[str, str]]:
    text = (resources.files(__package__) / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def grid_table() -> GridTable:
    """The table; it is read once."""
    sources = {line["id"]: GridSource(**line) for line in _lines("sources.csv")}  # type: ignore[arg-type]
    places = {
        line["code"]: GridPlace(
            code=line["code"],
            kind=line["kind"],  # type: ignore[arg-type]
            alpha2=line["alpha2"] or None,
            name=line["name"],
            parent=line["parent"] or None,
            grid=line["grid"] or None,
            aliases=tuple(filter(None, line["aliases"].split("|"))),
        )
        for line in _lines("places.csv")
    }
    intensities: dict[str, dict[int, Intensity]] = {}
    # The order does not matter: electricity_maps.csv only has codes that intensity.csv lacks.
    for line in _lines("intensity.csv") + _lines("electricity_maps.csv"):
        year = int(line["year"])
        intensities.setdefault(line["code"], {})[year] = Intensity(
            code=line["code"],
            year=year,
            g_per_kwh=float(line["g_per_kwh"]),
            source=sources[line["source"]],
        )
    return GridTable(places=places, intensities=intensities)
