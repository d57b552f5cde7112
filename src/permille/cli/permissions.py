"""What a study file may not do without the user's permission: read pickles, run commands."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from permille.errors import StudyError
from permille.escaping import plain
from permille.study.plan.execution import executions
from permille.study.plan.grid import Plan
from permille.study.plan.ownership import why_not_own


def check_pickles(plan: Plan, *, allowed: bool) -> None:
    """Check that the user allows pickles too. A study file may come from a stranger, so its own
    permission is not enough.

    Raises:
        StudyError: a model's weights would be read from a pickle without --allow-pickle.
    """
    models = {p.cell.model for p in plan.cells if p.model.settings.get("allow_pickle")}
    for model in sorted(models):
        if not allowed:
            raise StudyError(
                f"model {model!r}: the study file reads its weights from a pickle, which can"
                " run code: add --allow-pickle if you trust its author"
            )
        warning = f"WARNING: model {model!r} is read from a pickle, which can run code"
        print(plain(warning), file=sys.stderr)


def check_commands(plan: Plan, args: argparse.Namespace) -> None:
    """Confirm the commands of a study file that others could have written.

    Raises:
        StudyError: it has commands, and the user has not allowed them.
    """
    # Callables are already limited to the study's folder and to --allow-module.
    commands = [e for e in executions(plan) if e.kind != "callable"]
    path = Path(args.study_file)
    reason = why_not_own(path) if path.exists() else None  # a preset ships with permille
    if args.allow_commands or not commands or reason is None:
        return
    shown = "; ".join(f"{e.model}: {e.what}" for e in commands)
    # Without a terminal nobody would see the question, and a script would wait forever.
    if sys.stdin.isatty() and sys.stderr.isatty():
        print(plain(f"{path} ({reason}) runs: {shown}"), file=sys.stderr)
        # On standard error: standard output may be a file or the JSON of the results.
        print("run this? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise StudyError(
        f"{path} runs commands, and {reason}: {shown}; read it, then add --allow-commands"
    )
