"""``permille store check|repair|merge``: check a store, repair a damaged one, or merge several."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from permille.cli.arguments import add_json, add_store, refuse_given
from permille.cli.terminal import print_json
from permille.errors import UsageError
from permille.escaping import plain
from permille.records import JsonOutput, Record
from permille.store.merge import merge
from permille.store.repair import check, repair
from permille.units import counted

EXAMPLES = """examples:
  permille store check
  permille store repair --store study.db
  permille store merge all.db node-1.db node-2.db
"""
_SHOWN = 20


class StoreCheck(JsonOutput):
    """What ``permille store check --json`` and ``store repair --json`` print: how many trials are
    whole, and a line for each thing that is damaged or lost. ``damaged_file``: where a repair left
    the file as it was."""

    store: str
    trials: int
    problems: tuple[str, ...]
    damaged_file: str | None


class MergedTrials(Record):
    """How many trials came in, were there already, or were refused."""

    new: int
    known: int
    refused: int


class StoreMerge(JsonOutput):
    """What ``permille store merge --json`` prints."""

    store: str
    trials: MergedTrials
    stores: int
    problems: tuple[str, ...]


OUTPUTS = {"store check": StoreCheck, "store repair": StoreCheck, "store merge": StoreMerge}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille store``."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "action",
        choices=["check", "repair", "merge"],
        help="check: report damage; repair: save everything readable in a new file; merge:"
        " take the trials of stores into the first one named",
    )
    parser.add_argument(
        "stores",
        nargs="*",
        # Without a default, argparse calls it required where it lists what is missing.
        default=[],
        # Files alone: machines that share a store in object storage have nothing to merge.
        type=Path,
        metavar="STORE",
        help="merge: the store to write, then the stores to read",
    )
    add_store(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Return 0 if everything is intact or was merged, 1 if something is damaged, lost or
    refused."""
    if args.action == "merge":
        return _merge(args)
    # If it were ignored, the default store would be checked and reported instead.
    if args.stores:
        raise UsageError(f"store {args.action} works on one store: use --store {args.stores[0]}")
    report = check(args.store) if args.action == "check" else repair(args.store)
    if args.json:
        print_json(
            StoreCheck(
                store=str(args.store),
                trials=report.trials,
                problems=report.problems,
                damaged_file=str(report.kept_as) if report.kept_as else None,
            )
        )
        return 1 if report.problems else 0
    _print_problems(report.problems)
    whole = counted(report.trials, "trial is", "trials are")
    print(plain(f"{args.store}: {whole} intact"))
    # A repair never deletes: what it could not read may still be of use to somebody.
    if report.kept_as:
        print(plain(f"{args.store} now contains them; the damaged file is {report.kept_as}"))
    elif report.problems:
        print(plain(f"to save them: permille store repair --store {args.store}"))
    return 1 if report.problems else 0


def _merge(args: argparse.Namespace) -> int:
    if len(args.stores) < 2:
        raise UsageError("store merge needs a store to write and at least one to read: OUT STORE…")
    refuse_given(args, ("--store",), "store merge writes the first of the stores that it names")
    into, *sources = args.stores
    result = merge(into, sources)
    if args.json:
        print_json(
            StoreMerge(
                store=str(into),
                trials=MergedTrials(new=result.new, known=result.known, refused=result.refused),
                stores=result.stores,
                problems=result.problems,
            )
        )
    else:
        _print_problems(result.problems)
        parts = [f"{counted(result.new, 'new trial')} from {counted(result.stores, 'store')}"]
        parts += [f"{result.known} already present"] if result.known else []
        parts += [f"{result.refused} refused"] if result.refused else []
        print(plain(f"{into}: {', '.join(parts)}"))
    return 1 if result.problems else 0


def _print_problems(problems: Sequence[str]) -> None:
    for problem in problems[:_SHOWN]:
        print(plain(problem))
    if len(problems) > _SHOWN:
        print(f"… and {len(problems) - _SHOWN} more in --json")
