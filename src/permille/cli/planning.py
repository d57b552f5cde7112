"""Make a plan from the command line: the study, the selected part of it, and its settings."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from permille import presets
from permille.cli.arguments import positive_float, positive_int
from permille.errors import UsageError
from permille.study.plan import file
from permille.study.plan.entries import StudyFile
from permille.study.plan.grid import Plan, make
from permille.study.plan.selection import Selection, select
from permille.study.worker.containment import is_secret


def add_planning(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that change what is run."""
    often = parser.add_mutually_exclusive_group()
    often.add_argument("--repeats", type=positive_int, metavar="N", help="trials per cell")
    often.add_argument(
        "--precision",
        type=positive_float,
        metavar="P",
        help="repeat until the spread leaves the mean within ±P (0.05)",
    )
    parser.add_argument(
        "--rerun-precision",
        type=positive_float,
        metavar="P",
        help="with --sessions: no further session once a rerun is within ±P (0.1)",
    )
    parser.add_argument("--inferences", type=positive_int, metavar="N", help="inferences per trial")
    parser.add_argument("--tasks", metavar="LIST", help="only these; commas, * and ? allowed")
    parser.add_argument("--models", metavar="LIST", help="only these; commas, * and ? allowed")
    parser.add_argument(
        "--shard",
        metavar="I/N",
        help="a machine's share: the I-th of N parts; models of one task and dataset stay together",
    )
    parser.add_argument(
        "--weights",
        # A choice of one: without the option, the weights are the model's own.
        choices=["replica"],
        help="random weights, no download: energy and time only (docs/replicas.md)",
    )
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1, mps")


def add_allowances(parser: argparse.ArgumentParser) -> None:
    """Add the options that permit what a study file alone cannot."""
    parser.add_argument(
        "--allow-path",
        action="append",
        type=Path,
        default=[],
        metavar="DIR",
        help="allow the study to read this folder outside its own",
    )
    parser.add_argument(
        "--allow-module",
        action="append",
        default=[],
        metavar="NAME",
        help="allow the study to call functions of this installed module or package",
    )


def planned(args: argparse.Namespace, *, fetch: bool) -> Plan:
    """Make the plan for a command line with :func:`add_planning`'s arguments.

    Raises:
        PermilleError: the study or an argument is wrong.
    """
    return plan_of(selected(args), args, fetch=fetch)


def selected(args: argparse.Namespace) -> StudyFile:
    """The selected part of the study, with the settings of the command line.

    Raises:
        PermilleError: the study or an argument is wrong.
    """
    return read(
        args.study_file,
        Selection(tasks=args.tasks, models=args.models, shard=args.shard),
        repeats=args.repeats,
        precision=args.precision,
        rerun_precision=args.rerun_precision,
        inferences=args.inferences,
        weights=args.weights,
        device=args.device,
    )


def plan_of(study: StudyFile, args: argparse.Namespace, *, fetch: bool) -> Plan:
    """The plan of a study that :func:`selected` returned.

    Raises:
        PermilleError: the study is wrong.
    """
    return make(
        study,
        args.allow_path,
        fetch=fetch,
        modules=args.allow_module,
        passed=_passed(args.pass_env),
    )


def _passed(names: Sequence[str]) -> dict[str, str]:
    """The passed variables that are not secrets. Answers may depend on them, so they are part of
    the cell's digest. A secret may change from run to run and must not be in a digest."""
    given = {name: os.environ[name] for name in names if name in os.environ}
    return {name: value for name, value in given.items() if not is_secret(name, value)}


def load(
    name: str,
    allowed: list[Path],
    *,
    fetch: bool = True,
    modules: Sequence[str] = (),
    passed: Mapping[str, str] | None = None,
    chosen: Selection | None = None,
    **changed: Any,
) -> Plan:
    """The plan of a study file or preset; see :func:`read`. ``fetch``, ``modules`` and ``passed``:
    see :func:`permille.study.plan.grid.make`.

    Raises:
        PermilleError: the study or a setting is wrong.
    """
    study = read(name, chosen, **changed)
    return make(study, allowed, fetch=fetch, modules=modules, passed=passed)


def read(name: str, chosen: Selection | None = None, **changed: Any) -> StudyFile:
    """A study file or preset, or the ``chosen`` part of it, with the protocol settings that the
    user overrides.

    Raises:
        PermilleError: the study or a setting is wrong.
    """
    path = Path(name)
    # A name like a file's is one, so that a missing file is said to be missing, and not a preset.
    if path.suffix == ".toml" or path.exists():
        study = file.read(path)
    elif name in presets.names():
        where = f"preset {name}"
        # A preset is no file, beside which relative paths could lie.
        study = file.parse(presets.text(name), where=where, folder=Path.cwd())
    else:
        known = ", ".join(presets.names())
        raise UsageError(f"no study file and no preset {name!r}; presets: {known}")
    given = {key: value for key, value in changed.items() if value is not None}
    # A study has either a number of repeats or a precision: the command line's takes the place of
    # the file's other one.
    if "repeats" in given:
        given["precision"] = None
    if "precision" in given and given["precision"] is not None:
        # 5 may be meant as 5 %, and would be ±500 %: any two trials would do.
        if given["precision"] >= 1:
            raise UsageError("--precision is a share of the mean, such as 0.05 for ±5 %")
        given["repeats"] = None
    if "rerun_precision" in given:
        if given["rerun_precision"] >= 1:
            raise UsageError("--rerun-precision is a share, such as 0.1 for ±10 %")
        # Also where the file has a precision of the mean: the command line's takes its place.
        if given.setdefault("precision", None) is not None:
            raise UsageError(
                "--precision is of the mean, and --rerun-precision of a rerun: keep one"
            )
    settings = msgspec.structs.replace(study.settings, **given)
    study = msgspec.structs.replace(study, settings=settings)
    return select(study, chosen) if chosen else study
