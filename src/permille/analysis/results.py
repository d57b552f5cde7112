"""Build the document that ``permille results --json`` prints and exporters write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from permille.analysis import pareto
from permille.analysis.cell_summary import Summary
from permille.analysis.estimates import Interval, SessionInterval
from permille.analysis.rows import CellRow, row_fields
from permille.carbon.accelerators import EmbodiedShare, share_g
from permille.carbon.embodied import Hardware, embodied_g, sci_g_per_1000
from permille.carbon.equivalents import amounts, equivalents
from permille.carbon.footprint import energy_overhead, footprint
from permille.carbon.settings import CarbonSettings
from permille.carbon.water import WaterUse, litres
from permille.collector import drained
from permille.records import JsonOutput, Record
from permille.records.energy import Boundary


class Sci(Record):
    """The SCI score (ISO/IEC 21031) per 1,000 inferences, and its two parts, in gCO2e."""

    g_per_1000: float
    operational_g: float
    embodied_g: float


class AddedImpacts(Record):
    """What else was requested: the SCI score with this hardware, water, and the embodied carbon of
    accelerators."""

    hardware: Hardware | None = None
    water: WaterUse | None = None
    embodied: EmbodiedShare | None = None


class ResultRow(CellRow):
    """A row of the table. ``pareto``: no other model of its task and dataset needs less energy and
    is as good; null if unknown. ``superseded``: how it differs from the current figure, null if it
    is current. ``equivalents``: amounts, by name. ``water_l_per_1000`` and
    ``embodied_g_per_1000``: litres on site, and the accelerators' embodied CO2e, which is not part
    of ``co2e_g_per_1000``; null if not requested or unknown."""

    pareto: bool | None = None
    superseded: str | None = None
    market_co2e_g_per_1000: float | None = None
    sci: Sci | None = None
    equivalents: dict[str, float] = {}
    water_l_per_1000: Interval | None = None
    embodied_g_per_1000: Interval | None = None


_NOTHING = AddedImpacts()

SEVERAL_GPUS = "gpu:idle"
"""The one domain that is not a single accelerator: the seven idle ones of the published study."""


class EquivalentUnit(Record):
    """The unit of an equivalent, its ``factor`` and its source."""

    name: str
    unit: str
    factor: str
    source: str


class Results(JsonOutput):
    """The output of ``permille results --json``. ``superseded`` counts rows that newer figures
    replace; ``reference`` has a sentence for each session whose reference workload differed or
    drifted; ``damage`` has one line per item in the store that could not be read. ``hardware``,
    ``water`` and ``embodied``: what the SCI scores, the litres and the accelerators' embodied
    carbon of the rows are computed with, null if not requested."""

    boundary: Boundary
    net: bool
    carbon: CarbonSettings
    equivalents: tuple[EquivalentUnit, ...]
    superseded: int
    rows: tuple[ResultRow, ...]
    damage: tuple[str, ...]
    reference: tuple[str, ...] = ()
    hardware: Hardware | None = None
    water: WaterUse | None = None
    embodied: EmbodiedShare | None = None

    @classmethod
    def of(
        cls,
        rows: Sequence[ResultRow],
        boundary: Boundary,
        carbon: CarbonSettings,
        *,
        net: bool,
        damage: Sequence[str] = (),
        superseded: int = 0,
        reference: Sequence[str] = (),
        added: AddedImpacts = _NOTHING,
    ) -> Results:
        """The rows and the assumptions behind them."""
        units = tuple(
            EquivalentUnit(name=e.name, unit=e.unit, factor=e.factor, source=e.source)
            # Of no energy, because their units and sources do not depend on it.
            for e in equivalents(0.0, 0.0)
        )
        return cls(
            boundary=boundary,
            net=net,
            carbon=carbon,
            equivalents=units,
            superseded=superseded,
            rows=tuple(rows),
            damage=tuple(damage),
            reference=tuple(reference),
            hardware=added.hardware,
            water=added.water,
            embodied=added.embodied,
        )


def result_rows(
    summaries: Sequence[Summary],
    carbon: CarbonSettings,
    *,
    net: bool,
    added: AddedImpacts = _NOTHING,
    fronts: bool = True,
) -> list[ResultRow]:
    """The rows of a table: each summary with its carbon and, if the ``fronts`` are asked for, which
    models are on the front, by the energy that is shown."""
    return rows_in_place_of(list(summaries), carbon, net=net, added=added, fronts=fronts)


def rows_in_place_of(
    summaries: list[Summary],
    carbon: CarbonSettings,
    *,
    net: bool,
    added: AddedImpacts = _NOTHING,
    fronts: bool = True,
) -> list[ResultRow]:
    """As :func:`result_rows`, but the list is emptied: of many cells, the summaries take most of
    the memory, and nobody needs them any more."""
    grams = carbon.intensity_g_per_kwh
    on_fronts = _on_fronts(summaries, net=net) if fronts else [None] * len(summaries)
    return [
        _with_carbon(
            # Its fields, so that each row is made once: of many cells, copying rows took noticeably
            # long.
            row_fields(summary, intensity_g_per_kwh=grams, pue=carbon.pue, net=net),
            summary,
            carbon,
            added,
            on_front,
        )
        for summary, on_front in zip(drained(summaries), on_fronts, strict=True)
    ]


def _on_fronts(summaries: Sequence[Summary], *, net: bool) -> list[bool | None]:
    return pareto.fronts([s.above_idle() for s in summaries] if net else summaries)


def _with_carbon(
    plain: dict[str, Any],
    summary: Summary,
    carbon: CarbonSettings,
    added: AddedImpacts,
    on_front: bool | None,
) -> ResultRow:
    """A row with the figures shown next to its carbon: the market-based figure, the SCI score with
    its embodied part, and equivalents; None if not requested or unknown."""
    energy: SessionInterval = plain["kwh_per_1000"]
    mass: SessionInterval = plain["co2e_g_per_1000"]
    kwh, grams = energy.value, mass.value
    # A net energy below 0 is noise: it has no equivalent and no litres.
    if kwh is None or grams is None or kwh < 0:
        return ResultRow(**plain, pareto=on_front)
    sci = None
    if added.hardware is not None and summary.seconds is not None:
        made_g = embodied_g(added.hardware, summary.seconds.mean)
        per_1000_g = sci_g_per_1000(grams, made_g, 1000)
        sci = Sci(g_per_1000=per_1000_g, operational_g=grams, embodied_g=made_g)
    return ResultRow(
        **plain,
        pareto=on_front,
        market_co2e_g_per_1000=footprint(kwh, carbon, summary.boundary).market_g,
        equivalents=amounts(kwh, grams),
        sci=sci,
        water_l_per_1000=_water(energy, summary, carbon, added.water),
        embodied_g_per_1000=_embodied(summary, added.embodied),
    )


def _water(
    kwh: Interval, summary: Summary, carbon: CarbonSettings, water: WaterUse | None
) -> Interval | None:
    """Litres, of the energy without the PUE; the ends are those of both figures together."""
    if water is None or kwh.value is None:
        return None
    # A WUE is per kWh of IT equipment (ISO/IEC 30134-9), and a facility's energy includes the PUE.
    overhead, wue, off = (
        energy_overhead(carbon.pue, summary.boundary),
        water.wue_l_per_kwh,
        water.uncertainty_l_per_kwh,
    )
    value = litres(kwh.value / overhead, wue)
    if kwh.low is None or kwh.high is None:
        return Interval(value=value)
    # All four: the interval of a net energy may reach below 0, where the larger factor gives the
    # lower end.
    ends = [
        litres(end / overhead, factor)
        for end in (kwh.low, kwh.high)
        for factor in (max(0.0, wue - off), wue + off)
    ]
    return Interval(value=value, low=min(ends), high=max(ends))


def _embodied(summary: Summary, share: EmbodiedShare | None) -> Interval | None:
    """Grams, of the accelerators in the boundary; None if their number is not known."""
    number = sum(name.startswith("gpu:") for name in summary.domains)
    if share is None or summary.seconds is None or not number or SEVERAL_GPUS in summary.domains:
        return None
    value = share_g(share, number, summary.seconds.mean)
    off = value * share.uncertainty
    return Interval(value=value, low=value - off, high=value + off)
