"""Water that data centres use on site: litres per kWh of IT equipment (WUE, ISO/IEC 30134-9).

``data/water.csv`` has what operators publish of their regions. It is the water for cooling and
humidification alone: the water that power plants use is not in it.
"""

from __future__ import annotations

import csv
import math
from functools import cache
from importlib import resources

from permille.carbon.settings import CarbonSettings
from permille.errors import CarbonError
from permille.records import Record

ROUNDING_L_PER_KWH = 0.005
"""Half of the last digit that operators publish."""

_SOURCES = {
    "aws-2025": "AWS, regional sustainability fact sheets, calendar year 2025",
    "microsoft-fy2025": "Microsoft, datacenter efficiency, fiscal year 2025 (to June 2025)",
}
_SCOPE = "water on site, for cooling and humidification; not that of generating the electricity"


class WaterUse(Record, frozen=True):
    """A WUE (litres per kWh of IT equipment), up to ``uncertainty_l_per_kwh`` off because it is
    published in rounded form. ``covers`` says what it is an average of; ``region`` and ``year`` are
    None if it was given as a number. ``scope`` says which water is meant."""

    wue_l_per_kwh: float
    uncertainty_l_per_kwh: float
    region: str | None
    year: int | None
    covers: str
    source: str
    scope: str = _SCOPE


@cache
def water_table() -> dict[str, WaterUse]:
    """The published figures, by the code of the region."""
    text = (resources.files(__package__) / "data" / "water.csv").read_text(encoding="utf-8")
    return {
        line["code"]: WaterUse(
            wue_l_per_kwh=float(line["l_per_kwh"]),
            uncertainty_l_per_kwh=ROUNDING_L_PER_KWH,
            region=line["code"],
            year=int(line["year"]),
            covers=line["covers"],
            source=_SOURCES[line["source"]],
        )
        for line in csv.DictReader(text.splitlines())
    }


def water_of(carbon: CarbonSettings, wue_l_per_kwh: float | None = None) -> WaterUse:
    """The WUE that was given (L/kWh), or that of the region of ``carbon``.

    Raises:
        CarbonError: no region was given, its operator publishes none, or a number out of range.
    """
    if wue_l_per_kwh is not None:
        if not (math.isfinite(wue_l_per_kwh) and wue_l_per_kwh >= 0):
            raise CarbonError(f"a WUE is a number of litres per kWh, not {wue_l_per_kwh!r}")
        return WaterUse(
            wue_l_per_kwh=float(wue_l_per_kwh),
            uncertainty_l_per_kwh=0.0,
            region=None,
            year=None,
            covers="as given",
            source="given on the command line",
        )
    # A water use belongs to a data centre; the assumed world average is not one.
    if carbon.assumed or carbon.region is None:
        raise CarbonError("--water needs --region with a cloud region, or --wue L_PER_KWH instead")
    found = water_table().get(carbon.region)
    if found is None:
        raise CarbonError(
            f"no water use is published for {carbon.name} ({carbon.region}): give --wue L_PER_KWH,"
            " or one of the regions of AWS and Azure that docs/carbon.md lists"
        )
    return found


def litres(it_kwh: float, wue_l_per_kwh: float) -> float:
    """Litres for an energy of IT equipment (kWh, without the PUE)."""
    return it_kwh * wue_l_per_kwh
