"""The commands that are measured: words, a name, and the parameters in them. Pure."""

from __future__ import annotations

import itertools
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

from msgspec import structs

from permille.errors import UsageError
from permille.records import Record
from permille.units import counted

MOST = 1000
"""Commands that a list of parameters may make."""


class CommandLine(Record):
    """A program with its arguments, and how people call it. ``parameters``: what stands in it, and
    in the lines that are run beside it, for ``{NAME}``; None for a name that it does not have."""

    name: str
    words: tuple[str, ...]
    parameters: dict[str, str | None] = {}

    def filled(self, line: str) -> str:
        """A line that is run beside the command, with the command's values."""
        return substituted(line, {k: v for k, v in self.parameters.items() if v is not None})


def split(words: Sequence[str]) -> list[list[str]]:
    """The command lines between ``---``.

    Raises:
        UsageError: one is empty.
    """
    lines: list[list[str]] = [[]]
    for word in words:
        if word == "---":
            lines.append([])
        else:
            lines[-1].append(word)
    if not all(lines):
        raise UsageError(
            "give one command after --, or several with --- between, as in:"
            " permille measure -- sleep 1 --- sleep 2"
        )
    return lines


def expand(
    lines: Sequence[Sequence[str]],
    parameters: Sequence[tuple[str, Sequence[str]]],
    *,
    names: Sequence[str] = (),
    shell: str | None = None,
) -> list[CommandLine]:
    """Every command with every combination of the parameters' values.

    ``names`` are of the command lines, in their order; with ``shell``, each line is one that a
    shell runs.

    Raises:
        UsageError: more names than commands, two commands of one name, a parameter given twice or
            that no command has, too many combinations, or a shell that is no program.
    """
    _check(lines, parameters, names)
    unique: dict[tuple[str, ...], CommandLine] = {}
    several: list[CommandLine] = []
    # Counted before they are made: three lists of 1,000 values would be a billion commands.
    combinations = math.prod(len(values) for _, values in parameters)
    if combinations * len(lines) > MOST:
        raise UsageError(f"these parameters make more than {MOST} commands")
    for number, line in enumerate(lines):
        given = names[number] if number < len(names) else None
        for values in itertools.product(*(values for _, values in parameters)):
            set_to = dict(zip([key for key, _ in parameters], values, strict=True))
            several.append(_set(line, given, set_to, shell))
    for command in several:
        unique.setdefault(command.words, command)
    # A command without the parameter is measured once, not once for each of its values.
    return _distinct(list(unique.values()) if parameters else several)


def _check(
    lines: Sequence[Sequence[str]],
    parameters: Sequence[tuple[str, Sequence[str]]],
    names: Sequence[str],
) -> None:
    if len(names) > len(lines):
        raise UsageError(
            f"{len(names)} names for {counted(len(lines), 'command')}: one --command-name each"
        )
    keys = [key for key, _ in parameters]
    if len(set(keys)) < len(keys):
        raise UsageError("a parameter is given twice; each has one list or one range")
    for key in keys:
        if not any(_has(line, key) for line in lines):
            raise UsageError(f"no command has {{{key}}} in it, which --parameter-list {key} sets")


def _set(
    line: Sequence[str], name: str | None, values: dict[str, str], shell: str | None
) -> CommandLine:
    own = {key: value for key, value in values.items() if _has(line, key)}
    words = tuple(substituted(word, own) for word in line)
    return CommandLine(
        name=shlex.join(words) if name is None else substituted(name, own),
        words=_in_shell(words, shell),
        parameters={key: own.get(key) for key in values},
    )


def check_beside(commands: Sequence[CommandLine], lines: Mapping[str, str | None]) -> None:
    """Check that each command has the parameters of the lines that are run beside it, which are
    given by their options.

    Raises:
        UsageError: one has not. It is measured once, so that no value would be the right one.
    """
    for option, line in lines.items():
        for command in commands:
            for key, value in command.parameters.items():
                if value is None and line is not None and _has([line], key):
                    raise UsageError(
                        f"{option} has {{{key}}} in it, which the command {command.name} does not"
                        f" have: add {{{key}}} to the command, as in env {key}={{{key}}} …"
                    )


def _has(line: Sequence[str], key: str) -> bool:
    return any(f"{{{key}}}" in word for word in line)


def substituted(text: str, parameters: dict[str, str]) -> str:
    """The text with each ``{NAME}`` replaced by its value; what is in braces otherwise stays."""
    if not parameters:
        return text
    pattern = "|".join(re.escape(key) for key in parameters)
    # In one pass: braces in a value are not replaced in turn.
    return re.sub(rf"\{{({pattern})\}}", lambda match: parameters[match[1]], text)


def values_of(key: str, text: str) -> tuple[str, list[str]]:
    """The values of ``--parameter-list KEY A,B,C``; a backslash keeps a comma.

    Raises:
        UsageError: there are none.
    """
    values = [part.replace("\\,", ",") for part in re.split(r"(?<!\\),", text)]
    if not key or values == [""]:
        raise UsageError("--parameter-list takes a name and values: --parameter-list size 1,2,4")
    return key, values


def scan(key: str, low: str, high: str, step: str | None) -> tuple[str, list[str]]:
    """The values of ``--parameter-scan KEY MIN MAX``, ``step`` apart (1 if none is given).

    Raises:
        UsageError: they are no numbers, or an empty or endless range.
    """
    try:
        # As floats, the third of 0.1, 0.2, … would stand in the command as 0.30000000000000004.
        first, last, by = (Decimal(text) for text in (low, high, step or "1"))
        finite = all(number.is_finite() for number in (first, last, by))
    except InvalidOperation:
        finite = False
    if not finite or by <= 0 or first > last or (last - first) / by >= MOST:
        raise UsageError(
            f"--parameter-scan {key} {low} {high}: a name and two numbers, the first at most the"
            f" second, and fewer than {MOST} steps between"
        )
    count = int((last - first) / by) + 1
    # As :f, since str() of a Decimal may be 1E+3, which few programs take for a number.
    return key, [f"{first + by * i:f}" for i in range(count)]


def _in_shell(words: tuple[str, ...], shell: str | None) -> tuple[str, ...]:
    if shell is None:
        return words
    try:
        program = shlex.split(shell)
    except ValueError as error:  # a quotation that does not end
        raise UsageError(f"--shell {shell!r}: {error}") from error
    if not program:
        raise UsageError("--shell names a program, such as bash; without it, there is no shell")
    # A single word is a whole line for the shell, with its syntax; several are arguments, and must
    # stay the same words behind the shell.
    return (*program, "-c", words[0] if len(words) == 1 else shlex.join(words))


def _distinct(commands: list[CommandLine]) -> list[CommandLine]:
    """Names tell commands apart: of equal ones, the second is numbered."""
    taken: set[str] = set()
    distinct = []
    for command in commands:
        name, number = command.name, 1
        while name in taken:
            number += 1
            name = f"{command.name} ({number})"
        taken.add(name)
        distinct.append(structs.replace(command, name=name))
    return distinct
