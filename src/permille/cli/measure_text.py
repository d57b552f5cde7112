"""What ``permille measure`` prints for people, and its Markdown table."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from permille.analysis.budget import line
from permille.analysis.estimates import Interval, estimate_of
from permille.analysis.evidence_words import estimate_text
from permille.cli.commands.results import carbon_text
from permille.cli.markdown import cell, code
from permille.cli.terminal import console
from permille.escaping import plain
from permille.measure.comparing import ComparedCommand, MeasuredCommands
from permille.measure.figure import MeasuredCommand
from permille.recorder.wire import Missing
from permille.records.recording import Provenance
from permille.units import format_energy_kwh, format_mass_g, format_number, format_seconds


def _joules(value: float) -> str:
    return f"{format_number(value)} J"


def show(one: MeasuredCommand, *, explain: bool) -> None:
    """One command's figure."""
    from rich.text import Text

    out = console()

    def say(text: str, style: str = "") -> None:
        # As Text: what stands in brackets in a command or a note is not rich's markup.
        out.print(Text(plain(text), style=style), soft_wrap=True)

    say(one.name if isinstance(one, ComparedCommand) else shlex.join(one.command), "bold")
    if one.energy_j.value is None:
        say(f"  no figure: {one.reason}", "red")
        return
    # The energy follows all the same: it was used, though not for what was to be measured.
    if not one.valid:
        say(f"  not valid: {one.reason}", "red")
    provenance = one.provenance
    say(f"  energy   {estimate_text(one.energy_j, _joules)}, {provenance} ({one.boundary}; 95 %)")
    if one.net_energy_j:
        say(f"  net      {estimate_text(one.net_energy_j, _joules)} above idle")
    if one.kwh_per_1000:
        say(f"  per 1,000 inferences {estimate_text(one.kwh_per_1000, format_energy_kwh)}")
    if one.co2e_g:
        carbon = estimate_text(one.co2e_g, format_mass_g)
        say(f"  carbon   {carbon} CO2e at {carbon_text(one.carbon)}")
    if one.market_co2e_g:
        market = estimate_text(one.market_co2e_g, format_mass_g)
        say(f"  market   {market} CO2e at {one.carbon.market_intensity_g_per_kwh:g} gCO2e/kWh")
    runs = len(one.runs)
    say(f"  time     {_time(one)}" + (f", mean of {runs}" if runs > 1 else ""))
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
    # Otherwise the lines above show what could be measured.
    if not missing and any(p.provenance == Provenance.ESTIMATED for p in commands):
        print("estimated: no energy counter is here; `permille meters` says what could be measured")


def show_ratios(found: MeasuredCommands) -> None:
    """How the commands compare: of two a sentence, of more a table."""
    from permille.analysis.answer import times_text

    if len(found.commands) == 2:
        (over,) = found.ratios
        ratio = estimate_of(over.ratio)
        if ratio is None:
            print("ratio: n/a")
            return
        # With --reference, it may be the second over the first.
        a, b = ("first", "second") if over.a == found.commands[0].name else ("second", "first")
        print(f"the {a} needs {times_text(ratio)} the energy of the {b}")
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("command", overflow="fold")
    for column in ("energy", "time", f"energy over {plain(found.reference, limit=40)}"):
        # As Text: a command such as grep '[/a]' is not markup.
        table.add_column(Text(column), justify="right")
    ratios = {over.a: over.ratio for over in found.ratios}
    for command in found.commands:
        cells = (
            command.name,
            estimate_text(command.energy_j, _joules),
            _time(command),
            _relative(ratios.get(command.name)),
        )
        table.add_row(*(Text(plain(cell)) for cell in cells))
    console().print(table)


def _relative(over: Interval | None) -> str:
    from permille.analysis.answer import times_text

    if over is None:
        return "reference"
    ratio = estimate_of(over)
    return "n/a" if ratio is None else times_text(ratio)


def markdown(commands: Sequence[MeasuredCommand], found: MeasuredCommands | None) -> str:
    """A table, one row a command."""
    ratios = {} if found is None else {ratio.a: ratio.ratio for ratio in found.ratios}
    lines = [
        "| command | energy | time | runs | relative | provenance |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for c in commands:
        name = c.name if isinstance(c, ComparedCommand) else shlex.join(c.command)
        relative = ratios.get(name)
        lines.append(
            f"| {code(name)} | {estimate_text(c.energy_j, _joules)} | {_time(c)} | {len(c.runs)} |"
            f" {'' if relative is None else estimate_text(relative, format_number)} |"
            f" {cell(_worth(c))} |"
        )
    return "\n".join(lines) + "\n"


def _worth(command: MeasuredCommand) -> str:
    """What the energy rests on, and why it does not hold if it does not: a command that failed at
    once would pass for a cheap one."""
    if command.provenance is None or command.valid:
        return str(command.provenance or command.reason)
    return f"{command.provenance}, not valid: {command.reason}"


def csv_rows(commands: Sequence[MeasuredCommand]) -> list[dict[str, object]]:
    """A row a run, with the figures of its command."""
    rows: list[dict[str, object]] = []
    for c in commands:
        name = c.name if isinstance(c, ComparedCommand) else shlex.join(c.command)
        parameters = c.parameters if isinstance(c, ComparedCommand) else {}
        for number, run in enumerate(c.runs):
            rows.append(
                {
                    "command": name,
                    **{f"parameter_{key}": value for key, value in parameters.items()},
                    "run": number + 1,
                    "energy_j": run.energy_j,
                    "seconds": run.seconds,
                    "exit_code": run.exit_code,
                    "mean_energy_j": c.energy_j.value,
                    "low_energy_j": c.energy_j.low,
                    "high_energy_j": c.energy_j.high,
                    "provenance": c.provenance,
                    "boundary": c.boundary,
                    "reason": c.reason,
                }
            )
    return rows


def _time(command: MeasuredCommand) -> str:
    if isinstance(command, ComparedCommand):
        if command.seconds.low is None and command.seconds.value is not None:
            return format_seconds(command.seconds.value)  # of one run: no interval, and no error
        return estimate_text(command.seconds, format_seconds)
    return format_seconds(command.seconds)
