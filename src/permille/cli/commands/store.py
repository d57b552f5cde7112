"""``permille store check|repair``: is the store whole, and what can be kept of one that is not."""

from __future__ import annotations

import argparse

from permille.cli.arguments import add_json, add_store
from permille.cli.terminal import print_json
from permille.escaping import plain
from permille.store.repair import check, repair
from permille.units import counted

EXAMPLES = """examples:
  permille store check
  permille store repair --store study.db
"""
_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille store``."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "action",
        choices=["check", "repair"],
        help="check: name what is damaged; repair: keep what can be read in a new file",
    )
    add_store(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0 whole, or repaired without a loss; 1 something is damaged or was lost."""
    found = check(args.store) if args.action == "check" else repair(args.store)
    if args.json:
        print_json(
            {
                "schema": 1,
                "store": str(args.store),
                "trials": found.trials,
                "problems": list(found.problems),
                "damaged_file": str(found.kept_as) if found.kept_as else None,
            }
        )
        return 1 if found.problems else 0
    for problem in found.problems[:_SHOWN]:
        print(plain(problem))
    if len(found.problems) > _SHOWN:
        print(f"… and {len(found.problems) - _SHOWN} more in --json")
    whole = counted(found.trials, "trial is", "trials are")
    print(plain(f"{args.store}: {whole} whole"))
    if found.kept_as:
        print(plain(f"they are in {args.store} again; the damaged file is {found.kept_as}"))
    elif found.problems:
        print(plain(f"to keep them: permille store repair --store {args.store}"))
    return 1 if found.problems else 0
