"""The documented JSON of several measured commands, and how their energies compare. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from permille.analysis import intervals
from permille.analysis.commands import ratio
from permille.analysis.estimates import Interval
from permille.errors import UsageError
from permille.measure.command import Run
from permille.measure.commands import CommandLine
from permille.measure.figure import MeasuredCommand, phases_of
from permille.records import JsonOutput, Record
from permille.records.energy import Boundary
from permille.suggestions import nearest

CHEAPEST = "cheapest"
"""In place of a name: of the commands that have a figure, the one that needs the least energy."""


class ComparedCommand(MeasuredCommand):
    """One of several commands: as for a single one, but for its ``name`` and parameters (null where
    it does not have one), and the time, which is an estimate with its interval here."""

    name: str
    parameters: dict[str, str | None]
    seconds: Interval  # type: ignore[assignment]


class CommandRatio(Record):
    """The energy of command ``a`` over that of ``b``, by name. The interval is of the rounds'
    ratios: in each round every command ran once."""

    a: str
    b: str
    ratio: Interval


class MeasuredCommands(JsonOutput):
    """What ``permille measure --json`` prints of two commands or more.

    ``ratios``: each of the others over the ``reference``, which is the second of two and the first
    of more, unless one is named. ``ratio``: of two commands, the first over the second; null of
    more.
    """

    commands: tuple[ComparedCommand, ...]
    reference: str
    ratios: tuple[CommandRatio, ...]
    ratio: Interval | None
    valid: bool
    reason: str | None


def compared(
    commands: Sequence[CommandLine],
    figures: Sequence[MeasuredCommand],
    runs: Sequence[Sequence[Run]],
    boundary: Boundary,
    reference: str | None,
) -> MeasuredCommands:
    """Several commands, and how their energies compare."""
    shown = tuple(
        ComparedCommand(
            **structs.asdict(figure)
            | {"seconds": Interval.of(intervals.mean([run.phase.seconds for run in each]))},
            name=command.name,
            parameters=command.parameters,
        )
        for command, figure, each in zip(commands, figures, runs, strict=True)
    )
    base = _reference(shown, reference)

    def over(a: int, b: int) -> CommandRatio:
        pair = Interval()
        if shown[a].valid and shown[b].valid:
            pair = Interval.of(ratio(phases_of(runs[a]), phases_of(runs[b]), boundary))
        return CommandRatio(a=shown[a].name, b=shown[b].name, ratio=pair)

    others = [number for number in range(len(shown)) if number != base]
    ratios = tuple(over(number, base) for number in others)
    return MeasuredCommands(
        commands=shown,
        reference=shown[base].name,
        ratios=ratios,
        # It stays beside ratios for programs that read the output of two commands.
        ratio=over(0, 1).ratio if len(shown) == 2 else None,
        valid=all(c.valid for c in shown),
        reason=next((c.reason for c in shown if c.reason), None),
    )


def check_reference(commands: Sequence[CommandLine], named: str | None) -> None:
    """Check that there is a command of that name, before any is measured.

    Raises:
        UsageError: there is none.
    """
    names = [command.name for command in commands]
    if named is not None and named not in (CHEAPEST, *names):
        raise UsageError(f"--reference: no command is called {named!r}; {nearest(named, names)}")


def _reference(commands: Sequence[ComparedCommand], named: str | None) -> int:
    """The number of the command that the others are compared with: the one that is named; of two
    the second, of more the first."""
    names = [command.name for command in commands]
    if named is None:
        return 1 if len(commands) == 2 else 0
    if named in names:
        return names.index(named)
    # A command that failed at once needs little energy, and nothing could be compared with it.
    known = [
        (c.energy_j.value, i)
        for i, c in enumerate(commands)
        if c.valid and c.energy_j.value is not None
    ]
    return min(known)[1] if known else 0
