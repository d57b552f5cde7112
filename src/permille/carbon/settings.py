"""The grid intensity and PUE that a command applies, and their source."""

from __future__ import annotations

import math
from typing import Literal

from permille.carbon.lookup import find
from permille.carbon.table import WORLD, GridPlace, Intensity, grid_table
from permille.errors import CarbonError
from permille.records import Record

IntensityKind = Literal["lifecycle", "direct", "given", "live"]

DEFAULT_PUE = 1.0
"""No overhead: only the computer's energy. The industry average is :data:`MEAN_PUE`."""

MEAN_PUE = 1.54
"""Average annual PUE of data centres: Uptime Institute, Global Data Center Survey 2025."""


class CarbonSettings(Record, frozen=True):
    """A location-based grid intensity (gCO2e/kWh) and a PUE, with their sources.

    ``region`` is the canonical code, None if the intensity was given as a number. ``assumed`` is
    true if no region was given. ``note`` has caveats for people. ``market_intensity_g_per_kwh`` is
    shown next to the location-based figure and never replaces it: nothing adds or averages the two.
    ``timestamp`` (UTC, ISO 8601) and ``estimated`` belong to live figures. ``pue`` is only stored
    here; :func:`permille.carbon.footprint.footprint` applies it, once.
    """

    intensity_g_per_kwh: float
    region: str | None
    name: str
    year: int | None
    pue: float
    source: str
    kind: IntensityKind
    licence: str
    assumed: bool
    note: str
    attribution: str = ""
    market_intensity_g_per_kwh: float | None = None
    timestamp: str | None = None
    estimated: bool | None = None


def resolve(
    region: str | None = None,
    intensity: float | None = None,
    year: int | None = None,
    pue: float | None = None,
    market_intensity: float | None = None,
) -> CarbonSettings:
    """The settings for a region or an intensity (gCO2e/kWh), a year and a PUE.

    Without region and intensity it is the world average, marked as assumed. Without a year it is
    the newest in the table. ``market_intensity`` (gCO2e/kWh) follows from the user's contracts, by
    the GHG Protocol's Scope 2 market-based method.

    Raises:
        CarbonError: an unknown or ambiguous region, a year missing from the table, a number out of
        range.
    """
    checked_pue = DEFAULT_PUE if pue is None else _checked(pue, "the PUE", 1.0)
    market = None if market_intensity is None else _checked(market_intensity, "an intensity", 0.0)
    if intensity is not None:
        if region is not None:
            raise CarbonError("give a region or an intensity, not both")
        return CarbonSettings(
            intensity_g_per_kwh=_checked(intensity, "an intensity", 0.0),
            region=None,
            name="given",
            year=year,
            pue=checked_pue,
            source="given on the command line",
            kind="given",
            licence="",
            assumed=False,
            note="",
            market_intensity_g_per_kwh=market,
        )
    place = grid_table().places[WORLD] if region is None else find(region)
    figure = _figure(place, year)
    return CarbonSettings(
        intensity_g_per_kwh=figure.g_per_kwh,
        region=place.code,
        name=grid_table().full_name(place),
        year=figure.year,
        pue=checked_pue,
        source=figure.source.name,
        kind=figure.source.kind,
        licence=figure.source.licence,
        assumed=region is None,
        note=_note(region, place, figure),
        attribution=figure.source.attribution,
        market_intensity_g_per_kwh=market,
    )


def _checked(value: float, what: str, least: float) -> float:
    if not (math.isfinite(value) and value >= least):
        raise CarbonError(f"{what} must be a number from {least:g} up, not {value!r}")
    return float(value)


def _figure(place: GridPlace, year: int | None) -> Intensity:
    figures = grid_table().of(place)
    if year is None:
        return figures[max(figures)]
    if year not in figures:
        there = ", ".join(map(str, sorted(figures)))
        raise CarbonError(
            f"no grid intensity of {place.name} for {year}; available: {there} "
            "(--year; without it, the newest)"
        )
    return figures[year]


def _note(region: str | None, place: GridPlace, figure: Intensity) -> str:
    table = grid_table()
    notes = []
    if region is None:
        notes.append(
            f"no region given: the world average of {figure.year}, {figure.source.name}; "
            "give --region or --intensity"
        )
    if figure.code != place.code:
        grid = table.places[figure.code]
        notes.append(f"the average grid of {table.full_name(grid)} ({grid.code}), where it lies")
    # 25 codes of countries, CA and DE among them, are also those of US states.
    state = f"US-{place.alpha2}"
    if region is not None and region.strip().upper() == place.alpha2 and state in table.places:
        other = table.places[state]
        notes.append(f"{place.alpha2} is {place.name} by ISO 3166; {other.name} is {state}")
    if figure.source.kind == "direct":
        notes.append("direct emissions only: lower than a lifecycle figure of the same grid")
    return "; ".join(notes)
