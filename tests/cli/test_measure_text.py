"""Commands of which one failed: what is compared, and what the Markdown table says. Without
measuring."""

from __future__ import annotations

import pytest
from msgspec import structs

from permille.carbon.settings import resolve
from permille.cli.measure_text import csv_rows, markdown, show, show_ratios
from permille.measure.command import Run
from permille.measure.commands import CommandLine, expand
from permille.measure.comparing import CHEAPEST, MeasuredCommands, compared
from permille.measure.figure import FigureRequest, MeasuredCommand, command_json
from permille.records.energy import Phase
from permille.records.recording import RecorderStats
from tests.records import joules

COMMANDS = [CommandLine(name=name, words=(name,)) for name in ("large", "small", "broken")]
STATS = RecorderStats(cpu_s=0.01, wall_s=1.0, polls=10, missed=0, interval_s=0.1)

QUESTION = FigureRequest(
    boundary="compute", inferences=None, repeats=1, ignore_failure=False, quiet_machine=False,
    carbon=resolve(),
)  # fmt: skip


def one_run(energy_j: float, exit_code: int = 0) -> Run:
    phase = Phase(seconds=1.0, domains={"cpu:0": joules(energy_j)})
    return Run(phase=phase, idle=None, exit_code=exit_code, notices=(), recorder=STATS)


def measured(*runs: Run) -> tuple[list[MeasuredCommand], MeasuredCommands]:
    each = [[run] for run in runs]
    figures = [
        command_json(command, one, QUESTION, ())
        for command, one in zip(COMMANDS, each, strict=True)
    ]
    return figures, compared(COMMANDS, figures, each, "compute", CHEAPEST)


def test_a_command_that_failed_is_not_the_cheapest() -> None:
    _, found = measured(one_run(60.0), one_run(40.0), one_run(5.0, exit_code=3))
    assert found.reference == "small"
    over = {ratio.a: ratio.ratio.value for ratio in found.ratios}
    assert over["large"] == pytest.approx(1.5)
    assert over["broken"] is None


def test_a_failed_commands_energy_is_not_a_figure_in_the_markdown_table() -> None:
    _, found = measured(one_run(60.0), one_run(40.0), one_run(5.0, exit_code=3))
    large, _, broken = markdown(found.commands, found).splitlines()[2:]
    assert large.endswith("| measured |")
    assert "measured, not valid: the command exited with 3" in broken


def test_a_large_ratio_is_written_out_in_the_markdown_table() -> None:
    _, found = measured(one_run(60_000.0), one_run(40.0), one_run(80.0))
    large, *_ = markdown(found.commands, found).splitlines()[2:]
    assert "| 1,500" in large


def test_an_energy_that_is_shown_is_not_said_to_be_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (*_, broken), _ = measured(one_run(60.0), one_run(40.0), one_run(5.0, exit_code=3))
    show(broken, explain=False)
    _, verdict, energy, *_ = capsys.readouterr().out.splitlines()
    assert verdict.startswith("  not valid: the command exited with 3")
    assert energy.startswith("  energy   5 J")


def test_a_command_that_looks_like_markup_heads_its_column(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, found = measured(one_run(60.0), one_run(40.0), one_run(80.0))
    show_ratios(structs.replace(found, reference="grep [/a]"))
    assert "energy over grep [/a]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (None, ["the first needs 1.5 times", "the energy of the second"]),
        ("large", ["the second needs 0.67 times", "the energy of the first"]),
    ],
)
def test_of_two_commands_the_reference_is_the_one_that_is_named(
    reference: str | None, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    commands, runs = COMMANDS[:2], [[one_run(60.0)], [one_run(40.0)]]
    figures = [
        command_json(command, each, QUESTION, ())
        for command, each in zip(commands, runs, strict=True)
    ]
    show_ratios(compared(commands, figures, runs, "compute", reference))
    shown = capsys.readouterr().out
    assert all(each in shown for each in words)


def test_a_command_without_a_parameter_has_no_value_of_it() -> None:
    lines = [["sleep", "{n}"], ["true"]]
    commands = expand(lines, [("n", ["1", "2"])], names=["wait {n}", "none {n}"])
    assert [command.name for command in commands] == ["wait 1", "wait 2", "none {n}"]
    assert [command.parameters for command in commands] == [{"n": "1"}, {"n": "2"}, {"n": None}]
    runs = [[one_run(60.0)] for _ in commands]
    figures = [
        command_json(command, each, QUESTION, ())
        for command, each in zip(commands, runs, strict=True)
    ]
    rows = csv_rows(compared(commands, figures, runs, "compute", None).commands)
    assert [row["parameter_n"] for row in rows] == ["1", "2", None]
