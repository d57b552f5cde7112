"""``permille presets``: the studies that ship with permille."""

from __future__ import annotations

import argparse

from permille import presets
from permille.cli.arguments import add_json
from permille.cli.terminal import console, print_json
from permille.records import JsonOutput, Record


class Preset(Record):
    """A study that ships with permille; ``study`` is its file, as TOML."""

    name: str
    description: str
    study: str


class Presets(JsonOutput):
    """What ``permille presets --json`` prints."""

    presets: tuple[Preset, ...]


OUTPUTS = {"presets": Presets}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.epilog = (
        "examples:\n"
        "  permille presets                       list the presets\n"
        "  permille presets quickstart > my.toml  a study file to start from"
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="print this preset's study file")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    chosen = presets.names() if args.name is None else [args.name]
    if args.json:
        print_json(
            Presets(
                presets=tuple(
                    Preset(name=name, description=presets.describe(name), study=presets.text(name))
                    for name in chosen
                )
            )
        )
    elif args.name is not None:
        # As the file is: `permille presets NAME > my.toml` is meant to be a copy of it.
        print(presets.text(args.name), end="")
    else:
        _print_table(chosen)
    return 0


def _print_table(names: list[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("preset", "what it measures", box=None, pad_edge=False)
    for name in names:
        table.add_row(Text(name), Text(presets.describe(name)))
    console().print(table)
