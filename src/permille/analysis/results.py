"""Build the document that ``permille results --json`` prints and exporters write."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from permille.analysis.cell_summary import Summary
from permille.analysis.pareto import fronts
from permille.analysis.rows import CellRow, row
from permille.carbon.embodied import Hardware, embodied_g, sci_g_per_1000
from permille.carbon.equivalents import equivalents
from permille.carbon.footprint import footprint
from permille.carbon.settings import CarbonSettings
from permille.records import Boundary, JsonOutput, Record


class Sci(Record):
    """The SCI score (ISO/IEC 21031) per 1,000 inferences, and its two parts, in gCO2e."""

    g_per_1000: float
    operational_g: float
    embodied_g: float


class ResultRow(CellRow):
    """A row of the table. ``pareto``: no other model of its task and dataset needs less energy and
    is as good; null if unknown. ``superseded``: how it differs from the current figure, null if it
    is current. ``equivalents``: amounts, by name."""

    pareto: bool | None = None
    superseded: str | None = None
    market_co2e_g_per_1000: float | None = None
    sci: Sci | None = None
    equivalents: dict[str, float] = {}


class EquivalentUnit(Record):
    """The unit of an equivalent, its ``factor`` and its source."""

    name: str
    unit: str
    factor: str
    source: str


class Results(JsonOutput):
    """The output of ``permille results --json``. ``superseded`` counts rows that newer figures
    replace; ``reference`` has a sentence for each session whose reference workload differed or
    drifted; ``damage`` has one line per item in the store that could not be read."""

    boundary: Boundary
    net: bool
    carbon: CarbonSettings
    equivalents: tuple[EquivalentUnit, ...]
    superseded: int
    rows: tuple[ResultRow, ...]
    damage: tuple[str, ...]
    reference: tuple[str, ...] = ()

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
    ) -> Results:
        """The rows and the assumptions behind them."""
        units = tuple(
            EquivalentUnit(name=e.name, unit=e.unit, factor=e.factor, source=e.source)
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
        )


def result_rows(
    summaries: Sequence[Summary],
    carbon: CarbonSettings,
    *,
    net: bool,
    hardware: Hardware | None = None,
) -> list[ResultRow]:
    """The rows of a table: each summary with its carbon, and which models are on the front."""
    grams = carbon.intensity_g_per_kwh
    return [
        _with_carbon(
            row(summary, intensity_g_per_kwh=grams, pue=carbon.pue, net=net),
            summary,
            carbon,
            hardware,
            on_front,
        )
        for summary, on_front in zip(summaries, fronts(summaries), strict=True)
    ]


def _with_carbon(
    plain_row: CellRow,
    summary: Summary,
    carbon: CarbonSettings,
    hardware: Hardware | None,
    on_front: bool | None,
) -> ResultRow:
    """A row with the figures shown next to its carbon: the market-based figure, the SCI score with
    its embodied part, and equivalents; None if not requested or unknown."""
    result = ResultRow(**structs.asdict(plain_row), pareto=on_front)
    kwh, grams = plain_row.kwh_per_1000.value, plain_row.co2e_g_per_1000.value
    if kwh is None or grams is None or kwh < 0:
        return result
    sci = None
    if hardware is not None and summary.seconds is not None:
        made_g = embodied_g(hardware, summary.seconds.mean)
        per_1000_g = sci_g_per_1000(grams, made_g, 1000)
        sci = Sci(g_per_1000=per_1000_g, operational_g=grams, embodied_g=made_g)
    return structs.replace(
        result,
        market_co2e_g_per_1000=footprint(kwh, carbon, summary.boundary).market_g,
        equivalents={e.name: e.amount for e in equivalents(kwh, grams)},
        sci=sci,
    )
