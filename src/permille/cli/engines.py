"""``permille run --engine NAME``: what runs the blocks, and the options that only engines take."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from typing import get_args

from permille import plugins
from permille.cli.arguments import duration, integer, positive_int
from permille.cli.sessions import rest_of
from permille.errors import UsageError
from permille.records.trial import PER_GPU
from permille.study.engines.protocol import Engine, EngineOption, RunOptions
from permille.study.plan.grid import Plan
from permille.study.run.elsewhere import meter_of

DEFAULT = "local"
_ANOTHER_DAY = "run the command again another day"
_REASONS: Mapping[tuple[str, EngineOption], str] = {
    ("ray", "sessions"): _ANOTHER_DAY,
    ("slurm", "sessions"): _ANOTHER_DAY,
    ("slurm", "fresh"): "name a new --store instead",
    ("slurm", "shard"): "it deals the study itself",
    ("slurm", "replicas-of-block"): "Slurm alone chooses the nodes of jobs, so that two replicas"
    " may fall on one; measure on each node into a store of its own, and merge them"
    " (docs/cluster.md)",
}
"""Why an engine does not take an option, where another way leads there."""


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add ``--engine`` and the options of engines."""
    parser.add_argument(
        "--engine",
        default=DEFAULT,
        metavar="NAME",
        help="what runs the blocks: local (this machine), ray or slurm (docs/cluster.md)",
    )
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="the head of a Ray cluster (default: RAY_ADDRESS)"
    )
    parser.add_argument(
        "--machines", type=positive_int, metavar="N", help="how many nodes to measure on"
    )
    parser.add_argument(
        "--per",
        choices=["gpu"],
        help="one trial on each GPU of a node at a time, for --boundary accelerator alone (ray)",
    )
    parser.add_argument(
        "--replicas-of-block",
        type=_replicas,
        metavar="K",
        help="measure each block on K nodes: how much do figures vary between machines (ray)?",
    )
    parser.add_argument("--partition", metavar="NAME", help="the Slurm partition of the jobs")
    parser.add_argument(
        "--time",
        type=_minutes,
        metavar="TIME",
        help="the Slurm jobs' time limit: 30m, 12h, 2d (default: 1h); they are started again",
    )


def engine_of(args: argparse.Namespace) -> Engine:
    """The engine that is named, if it takes the options that are given.

    Raises:
        UsageError: there is no such engine, or it does not take one of the options.
    """
    engine: Engine = plugins.load("engines", args.engine, UsageError)
    for option in _given(args):
        # Users would think that an ignored option had an effect.
        if option not in engine.options:
            takes = [name for name in plugins.names("engines") if _takes(name, option)]
            if (args.engine, option) in _REASONS:
                raise UsageError(
                    f"--{option} is not for --engine {args.engine}: {_REASONS[args.engine, option]}"
                )
            raise UsageError(
                f"--{option} is not an option of --engine {args.engine}; it is one of"
                f" {', '.join(takes) or 'no installed engine'}"
            )
    return engine


def check_agents(plan: Plan, engine: str) -> None:
    """Check that a study with an agent is run on one machine, because the agent serves one run.

    Raises:
        UsageError: it is not.
    """
    measured_there = next((cell for cell in plan.cells if meter_of(cell) is not None), None)
    if measured_there is not None and engine != DEFAULT:
        raise UsageError(
            f"model {measured_there.model.id!r} has a meter, which serves one machine at a time:"
            f" run the study without --engine {engine}"
        )


def run_options(args: argparse.Namespace) -> RunOptions:
    """How the study is to be run."""
    return RunOptions(
        pool=args.pool,
        quiet=args.quiet_machine,
        shared=args.shared,
        fresh=args.fresh,
        # Within the boundary that is shown: outside of it, an estimate changes no figure.
        require=(args.boundary or "compute") if args.require else None,
        pass_env=tuple(args.pass_env),
        sessions=args.sessions,
        every=rest_of(args),
        engine=_given(args),
    )


def replicas_of(args: argparse.Namespace) -> int:
    """The number of machines that each block is measured on."""
    return int(args.replicas_of_block or 1)


def starting_over(engine: str) -> str:
    """What starts a study over with this engine."""
    return "--fresh" if _takes(engine, "fresh") else "a new --store"


def as_run(plan: Plan, args: argparse.Namespace) -> Plan:
    """The plan as the engine's options have it run.

    Raises:
        UsageError: they do not fit together, or not the study.
    """
    # Nodes and the run must make the same plan of the same words: both come through here.
    _check_replicas(plan, args)
    return _per_gpu(plan, args) if args.per == "gpu" else plan


def _per_gpu(plan: Plan, args: argparse.Namespace) -> Plan:
    """The trials as those of one GPU each. Sets the boundary of the command's figures.

    Raises:
        UsageError: an option, or the study, is about the whole machine.
    """
    from msgspec.structs import replace

    for option, given in (
        (f"--boundary {args.boundary}", args.boundary not in (None, "accelerator")),
        ("--precision", plan.settings.precision is not None),
        ("--quiet-machine", args.quiet_machine),
    ):
        if given:
            raise UsageError(
                f"{option} is of the whole machine, whose energy --per gpu cannot tell: trials on"
                " its other GPUs run at the same time; measure without --per gpu"
            )
    args.boundary = "accelerator"
    # Another protocol, so that no such trial is pooled or divided with those of whole machines.
    return replace(
        plan,
        protocol=replace(plan.protocol, name=PER_GPU),
        # The reference workload is one of the processor.
        settings=replace(plan.settings, reference=False),
    )


def _check_replicas(plan: Plan, args: argparse.Namespace) -> None:
    replicas = replicas_of(args)
    # With --per gpu, a machine is as many nodes as it has GPUs.
    if args.machines is not None and args.machines < replicas and args.per != "gpu":
        raise UsageError(
            f"--replicas-of-block {replicas} needs {replicas} machines, and --machines is"
            f" {args.machines}"
        )
    if replicas > 1 and plan.settings.precision is not None:
        raise UsageError(
            "--replicas-of-block measures a fixed number of repeats on each machine, and the study"
            " asks for a precision: add --repeats N"
        )


def _given(args: argparse.Namespace) -> Mapping[EngineOption, str]:
    named = {option: getattr(args, option.replace("-", "_")) for option in get_args(EngineOption)}
    if args.sessions == 1:  # as without the option
        del named["sessions"]
    return {option: str(value) for option, value in named.items() if value not in (None, False)}


def _replicas(text: str) -> int:
    value = integer(text)
    # From 2: with 1, machines would not vary, which is what the option is there to show.
    if not 2 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of machines from 2 to 1000")
    return value


def _minutes(text: str) -> int:
    # Slurm counts minutes, and takes 0 for no limit at all (sbatch(1), --time).
    return max(1, math.ceil(duration(text).total_seconds() / 60))


def _takes(name: str, option: EngineOption) -> bool:
    engine: Engine = plugins.load("engines", name, UsageError)
    return option in engine.options
