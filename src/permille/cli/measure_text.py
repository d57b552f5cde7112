"""What ``permille measure`` prints for people, and its Markdown table."""

from __future__ import annotations

from typing import Any

from permille.analysis.budget import UncertaintyPart, line
from permille.carbon.settings import CarbonSettings
from permille.cli.commands.results import carbon_text
from permille.cli.terminal import console
from permille.escaping import plain
from permille.recorder.wire import Missing
from permille.records import Estimate, Provenance
from permille.units import format_energy_kwh, format_mass_g, format_seconds


def _interval(estimate: dict[str, Any], form: Any) -> str:
    if estimate["low"] is None:
        return str(form(estimate["value"]))
    return f"{form(estimate['value'])} [{form(estimate['low'])}, {form(estimate['high'])}]"


def _joules(value: float) -> str:
    return f"{value:,.3g} J" if abs(value) < 1000 else f"{value:,.0f} J"


def show(payload: dict[str, Any], carbon: CarbonSettings, *, explain: bool) -> None:
    """One command's figure."""
    from rich.text import Text

    out = console()

    def say(text: str, style: str = "") -> None:
        out.print(Text(plain(text), style=style), soft_wrap=True)

    say(" ".join(payload["command"]), "bold")
    if payload["energy_j"]["value"] is None or not payload["valid"]:
        say(f"  no figure: {payload['reason']}", "red")
        if payload["energy_j"]["value"] is None:
            return
    provenance = payload["provenance"]
    say(
        f"  energy   {_interval(payload['energy_j'], _joules)}, {provenance}"
        f" ({payload['boundary']}; 95 %)"
    )
    if payload["net_energy_j"]:
        say(f"  net      {_interval(payload['net_energy_j'], _joules)} above idle")
    if payload["kwh_per_1000"]:
        say(f"  per 1,000 inferences {_interval(payload['kwh_per_1000'], format_energy_kwh)}")
    say(f"  carbon   {_interval(payload['co2e_g'], format_mass_g)} CO2e at {carbon_text(carbon)}")
    runs = len(payload["runs"])
    say(
        f"  time     {format_seconds(payload['seconds'])}"
        + (f", mean of {runs}" if runs > 1 else "")
    )
    for name, domain in payload["domains"].items():
        say(f"  {name:<8} {_joules(domain['energy_j'])}, {domain['provenance']}")
    for note in payload["notes"]:
        say(f"  note: {note}")
    if explain:
        say("  the interval is made of, in quadrature:")
        for part in payload["uncertainty"]:
            say(f"  {line(UncertaintyPart(**part))}")
        recorder = payload["recorder"]
        taken = recorder["energy_j"]
        of_it = "" if taken is None else f", at most {_joules(taken)}, which is in the figure"
        say(f"  the recorder took {format_seconds(recorder['cpu_s'])} of one CPU{of_it}")


def show_missing(payloads: list[dict[str, Any]], missing: list[Missing]) -> None:
    """What could not be measured here, and how to unlock it."""
    for meter in missing:
        remedy = f"; to unlock it: {meter.remedy}" if meter.remedy else ""
        print(plain(f"not measured: {meter.meter}: {meter.reason}{remedy}"))
    if not missing and any(p["provenance"] == Provenance.ESTIMATED for p in payloads):
        print("estimated: no energy counter is here; `permille meters` says what could be measured")


def show_ratio(ratio: dict[str, Any]) -> None:
    """How the first command compares with the second."""
    from permille.analysis.answer import times_text

    if ratio["value"] is None:
        print("ratio: n/a")
        return
    found = Estimate(value=ratio["value"], low=ratio["low"], high=ratio["high"])
    print(f"the first needs {times_text(found)} the energy of the second")


def markdown(payloads: list[dict[str, Any]]) -> str:
    """A table, one row a command."""
    lines = [
        "| command | energy | time | runs | provenance |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for p in payloads:
        command = plain(" ".join(p["command"])).replace("|", "\\|").replace("`", "'")
        energy = "n/a" if p["energy_j"]["value"] is None else _interval(p["energy_j"], _joules)
        lines.append(
            f"| `{command}` | {energy} | {format_seconds(p['seconds'])} | {len(p['runs'])} |"
            f" {p['provenance'] or p['reason']} |"
        )
    return "\n".join(lines) + "\n"
