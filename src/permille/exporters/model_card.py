"""Results as the energy section of a model card (Markdown)."""

from __future__ import annotations

import re
from typing import Any

from permille.carbon.settings import CarbonSettings
from permille.escaping import plain
from permille.exporters import OfResults
from permille.metrics import interval_text
from permille.units import format_energy_kwh, format_mass_g, format_seconds

_MARKS = re.compile(r"([\\`*_{}\[\]()#+\-!|<>~&:$@])")


def model_card(payload: dict[str, Any], carbon: CarbonSettings) -> str:
    """A section with a table of every row and what its figures rest on."""
    lines = [
        "## Energy and carbon",
        "",
        "Per 1,000 inferences; in brackets, 95 % intervals.",
        "",
        "| model | task | dataset | energy | CO2e | p50 / p95 | quality | provenance | trials |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    lines += [f"| {' | '.join(_cells(row))} |" for row in payload["rows"]]
    lines += [
        "",
        f"Boundary: {payload['boundary']}. Grid: {carbon.intensity_g_per_kwh:g} gCO2e/kWh"
        f" ({escaped(carbon.name)}), PUE {carbon.pue:g}."
        + (" Net of the machine's idle power." if payload["net"] else ""),
        "",
        "Measured with permille. *Measured* figures come from an energy counter, *modelled* and"
        " *estimated* ones do not.",
        "",
    ]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """A foreign name as Markdown shows it letter by letter: no markup, no HTML, no link."""
    return _MARKS.sub(r"\\\1", plain(text, limit=200)).replace("\\<", "&lt;").replace("\\>", "&gt;")


def _cells(row: dict[str, Any]) -> list[str]:
    latency, quality = row["latency_s"], row["quality"]
    seconds = [latency["p50"], latency["p95"]]
    return [
        escaped(row["model"]),
        escaped(row["task"]),
        escaped(row["dataset"]),
        _figure(row["kwh_per_1000"], format_energy_kwh),
        _figure(row["co2e_g_per_1000"], format_mass_g),
        "n/a" if None in seconds else " / ".join(format_seconds(s) for s in seconds),
        "n/a" if not quality else _quality(quality),
        row["provenance"] or "n/a",
        str(row["trials"]["done"]),
    ]


def _quality(quality: dict[str, Any]) -> str:
    words = interval_text(quality["metric"], quality["value"], quality["low"], quality["high"])
    return f"{escaped(quality['metric'])} {words}"


def _figure(figure: dict[str, float | None], form: Any) -> str:
    value, low, high = (figure[part] for part in ("value", "low", "high"))
    if value is None:
        return "n/a"
    return f"{form(value)} [n/a]" if low is None else f"{form(value)} [{form(low)}, {form(high)}]"


def _encoded(results: dict[str, Any], carbon: CarbonSettings) -> bytes:
    return model_card(results, carbon).encode()


exporter = OfResults(_encoded)
