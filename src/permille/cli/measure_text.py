"""What ``permille measure`` prints for people, and its Markdown table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from permille.analysis.budget import line
from permille.analysis.rows import Interval
from permille.cli.commands.results import carbon_text
from permille.cli.terminal import console
from permille.escaping import plain
from permille.measure.figure import MeasuredCommand
from permille.recorder.wire import Missing
from permille.records import Estimate, Provenance
from permille.units import format_energy_kwh, format_mass_g, format_seconds


def _interval(figure: Interval, form: Callable[[float], str]) -> str:
    if figure.value is None:
        return "n/a"
    if figure.low is None or figure.high is None:
        return form(figure.value)
    return f"{form(figure.value)} [{form(figure.low)}, {form(figure.high)}]"


def _joules(value: float) -> str:
    return f"{value:,.3g} J" if abs(value) < 1000 else f"{value:,.0f} J"


def show(one: MeasuredCommand, *, explain: bool) -> None:
    """One command's figure."""
    from rich.text import Text

    out = console()

    def say(text: str, style: str = "") -> None:
        out.print(Text(plain(text), style=style), soft_wrap=True)

    say(" ".join(one.command), "bold")
    if one.energy_j.value is None or not one.valid:
        say(f"  no figure: {one.reason}", "red")
        if one.energy_j.value is None:
            return
    provenance = one.provenance
    say(f"  energy   {_interval(one.energy_j, _joules)}, {provenance} ({one.boundary}; 95 %)")
    if one.net_energy_j:
        say(f"  net      {_interval(one.net_energy_j, _joules)} above idle")
    if one.kwh_per_1000:
        say(f"  per 1,000 inferences {_interval(one.kwh_per_1000, format_energy_kwh)}")
    if one.co2e_g:
        carbon = _interval(one.co2e_g, format_mass_g)
        say(f"  carbon   {carbon} CO2e at {carbon_text(one.carbon)}")
    runs = len(one.runs)
    say(f"  time     {format_seconds(one.seconds)}" + (f", mean of {runs}" if runs > 1 else ""))
    for name, domain in one.domains.items():
        say(f"  {name:<8} {_joules(domain.energy_j)}, {domain.provenance}")
    for note in one.notes:
        say(f"  note: {note}")
    if explain:
        say("  the interval is made of, in quadrature:")
        for part in one.uncertainty:
            say(f"  {line(part)}")
        recorder = one.recorder
        taken = recorder.energy_j
        of_it = "" if taken is None else f", at most {_joules(taken)}, which is in the figure"
        say(f"  the recorder took {format_seconds(recorder.cpu_s)} of one CPU{of_it}")


def show_missing(commands: Sequence[MeasuredCommand], missing: list[Missing]) -> None:
    """What could not be measured here, and how to unlock it."""
    for meter in missing:
        remedy = f"; to unlock it: {meter.remedy}" if meter.remedy else ""
        print(plain(f"not measured: {meter.meter}: {meter.reason}{remedy}"))
    if not missing and any(p.provenance == Provenance.ESTIMATED for p in commands):
        print("estimated: no energy counter is here; `permille meters` says what could be measured")


def show_ratio(ratio: Interval) -> None:
    """How the first command compares with the second."""
    from permille.analysis.answer import times_text

    if ratio.value is None:
        print("ratio: n/a")
        return
    estimate = Estimate(value=ratio.value, low=ratio.low, high=ratio.high)
    print(f"the first needs {times_text(estimate)} the energy of the second")


def markdown(commands: Sequence[MeasuredCommand]) -> str:
    """A table, one row a command."""
    lines = [
        "| command | energy | time | runs | provenance |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for p in commands:
        command = plain(" ".join(p.command)).replace("|", "\\|").replace("`", "'")
        energy = "n/a" if p.energy_j.value is None else _interval(p.energy_j, _joules)
        lines.append(
            f"| `{command}` | {energy} | {format_seconds(p.seconds)} | {len(p.runs)} |"
            f" {p.provenance or p.reason} |"
        )
    return "\n".join(lines) + "\n"
