"""``permille measure -- CMD``: energy of any command, like hyperfine for joules."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from permille.analysis.commands import Figure, figure, ratio, recorders_j
from permille.analysis.rows import estimate_json, scaled
from permille.carbon.footprint import carbon_overhead
from permille.carbon.settings import CarbonSettings, to_json
from permille.cli.arguments import (
    add_carbon,
    add_json,
    carbon_of,
    positive_int,
    seconds,
    whole_number,
)
from permille.cli.measure_text import markdown, show, show_missing, show_ratio
from permille.cli.terminal import print_json
from permille.disturbance import refusal, share_disturbed
from permille.errors import MeterError, UsageError
from permille.recorder import Recorder
from permille.recorder.wire import Missing
from permille.records import BOUNDARIES, Boundary, Estimate, Provenance
from permille.study.command import Run, measure, spans_of
from permille.units import (
    co2e_g,
    format_seconds,
    kwh_from_joules,
    per_1000,
)

EXAMPLES = """examples:
  permille measure -- sleep 1
  permille measure --repeats 5 --warmup 1 -n 1000 -- python classify.py reviews.csv
  permille measure --repeats 5 -- ./old --- ./new        two commands, and their ratio
  permille measure --json --idle 2 -- ./serve-once       idle power first, for the net energy
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille measure``."""
    parser.usage = "permille measure [options] -- COMMAND [ARG …] [--- COMMAND [ARG …]]"
    parser.epilog = EXAMPLES
    parser.add_argument("--repeats", type=positive_int, default=1, metavar="N", help="runs")
    parser.add_argument(
        "--warmup", type=whole_number, default=0, metavar="N", help="runs before, not counted"
    )
    parser.add_argument(
        "-n", "--inferences", type=positive_int, metavar="N", help="inferences in one run"
    )
    parser.add_argument(
        "--idle", type=seconds, default=0.0, metavar="S", help="idle seconds before each run"
    )
    parser.add_argument("--boundary", choices=BOUNDARIES, default="compute", help="what counts")
    add_carbon(parser)
    parser.add_argument(
        "--require", choices=["measured"], help="exit 3 where only an estimate can be had"
    )
    parser.add_argument("--shared", action="store_true", help="even beside another run; it is said")
    parser.add_argument(
        "--quiet-machine",
        action="store_true",
        help="no figure where other processes used over 5 %% of the CPU time",
    )
    parser.add_argument(
        "-i", "--ignore-failure", action="store_true", help="a command may exit with other than 0"
    )
    parser.add_argument("--explain", action="store_true", help="show what the interval is made of")
    parser.add_argument("--export-markdown", type=Path, metavar="FILE", help="write a table too")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measure one command, or two and their ratio."""
    commands = _commands(args.command)
    carbon = carbon_of(args)
    if args.export_markdown and not args.export_markdown.absolute().parent.is_dir():
        raise UsageError(f"cannot write {args.export_markdown}: there is no such folder")
    with Recorder(shared=args.shared) as recorder:
        if args.require:
            recorder.require_measured()
        measured = [(command, _runs(recorder, command, args)) for command in commands]
        missing = [meter for meter in recorder.missing if meter.present]
    payloads = [_payload(command, runs, carbon, missing, args) for command, runs in measured]
    payload = payloads[0]
    if len(payloads) == 2:
        payload = {
            "schema": 1,
            "commands": payloads,
            "ratio": estimate_json(_ratio(measured, payloads, args.boundary)),
            "valid": all(p["valid"] for p in payloads),
            "reason": next((p["reason"] for p in payloads if p["reason"]), None),
        }
    if args.require:
        _require_measured(payloads)
    if args.json:
        print_json(payload)
    else:
        for one in payloads:
            show(one, carbon, explain=args.explain)
        if len(payloads) == 2:
            show_ratio(payload["ratio"])
            if not args.idle and any(p["provenance"] == "estimated" for p in payloads):
                print("  (of estimates; --idle 1 tells time from work and narrows it)")
        show_missing(payloads, missing)
    if args.export_markdown:
        _write(args.export_markdown, markdown(payloads))
    return 0 if payload["valid"] else 1


def _write(path: Path, text: str) -> None:
    """Raises UsageError: it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _commands(words: list[str]) -> list[list[str]]:
    commands: list[list[str]] = [[]]
    for word in words:
        if word == "---":
            commands.append([])
        else:
            commands[-1].append(word)
    if not all(commands) or len(commands) > 2:
        raise UsageError(
            "give one command after --, or two with --- between, as in:"
            " permille measure -- sleep 1 --- sleep 2"
        )
    return commands


def _runs(recorder: Recorder, command: list[str], args: argparse.Namespace) -> list[Run]:
    # With --json standard output is for the result alone; the command's own goes to stderr.
    stdout = sys.stderr.buffer if args.json else None
    for _ in range(args.warmup):
        measure(recorder, command, idle_s=0.0, stdout=stdout)
    runs: list[Run] = []
    for i in range(args.repeats):
        if args.repeats > 1 and sys.stderr.isatty():
            took = f", {format_seconds(runs[-1].phase.seconds)} each" if runs else ""
            print(f"\rrun {i + 1} of {args.repeats}{took} ", end="", file=sys.stderr, flush=True)
        runs.append(measure(recorder, command, idle_s=args.idle, stdout=stdout))
        if runs[-1].exit_code and not args.ignore_failure:
            break
    if args.repeats > 1 and sys.stderr.isatty():
        print(file=sys.stderr)
    return runs


def _payload(
    command: list[str],
    runs: list[Run],
    carbon: CarbonSettings,
    missing: list[Missing],
    args: argparse.Namespace,
) -> dict[str, Any]:
    boundary: Boundary = args.boundary
    found = figure([r.phase for r in runs], [r.idle for r in runs], boundary, carbon.pue)
    failed = next((r.exit_code for r in runs if r.exit_code), 0)
    reason = found.reason
    if failed and not args.ignore_failure:
        reason = f"the command exited with {failed}; --ignore-failure counts it all the same"
    spans = [spans_of(r.phase, r.idle) for r in runs]
    if args.quiet_machine and reason is None:
        reason = next((why for one in spans if (why := refusal(one))), None)
    inferences = args.inferences
    energy = found.energy
    to_grams = carbon.intensity_g_per_kwh * carbon_overhead(carbon.pue, boundary)
    return {
        "schema": 1,
        "command": command,
        "boundary": boundary,
        "energy_j": estimate_json(energy),
        "net_energy_j": found.net and estimate_json(found.net),
        "kwh_per_1000": energy
        and inferences
        and estimate_json(scaled(energy, lambda j: per_1000(kwh_from_joules(j), inferences))),
        "co2e_g": energy
        and estimate_json(scaled(energy, lambda j: co2e_g(kwh_from_joules(j), to_grams))),
        "carbon": to_json(carbon),
        "domains": {
            name: {"energy_j": d.energy_j, "provenance": d.provenance}
            for name, d in found.domains.items()
        },
        "seconds": found.seconds,
        "inferences": inferences,
        "runs": [
            {
                "energy_j": energy_j,
                "seconds": run.phase.seconds,
                "exit_code": run.exit_code,
                "others_cpu": run.phase.disturbance and run.phase.disturbance.others,
            }
            for run, energy_j in _pairs(runs, found)
        ],
        "disturbed": share_disturbed(spans),
        "provenance": found.provenance,
        "valid": reason is None,
        "reason": reason,
        "notes": list(dict.fromkeys([n for r in runs for n in r.notices] + _noted(found))),
        "uncertainty": [to_builtins(part) for part in found.parts],
        "not_measured": [
            {"meter": m.meter, "reason": m.reason, "remedy": m.remedy or None} for m in missing
        ],
        "recorder": {
            "cpu_s": sum(r.recorder.cpu_s for r in runs),
            "energy_j": recorders_j([(r.phase, r.recorder) for r in runs]),
            "interval_s": runs[0].recorder.interval_s,
            "missed": sum(r.recorder.missed for r in runs),
        },
    }


def _require_measured(payloads: list[dict[str, Any]]) -> None:
    """Refuse figures that rest on more than a meter's measurement.

    Raises:
        MeterError: one of them does.
    """
    for payload in payloads:
        if payload["provenance"] not in (None, Provenance.MEASURED):
            weak = [n for n, d in payload["domains"].items() if d["provenance"] != "measured"]
            raise MeterError(
                f"the energy within {payload['boundary']} is {payload['provenance']}"
                f" ({', '.join(weak)}), and a measurement is required; see: permille meters"
            )


def _pairs(runs: list[Run], found: Figure) -> Iterator[tuple[Run, float | None]]:
    for i, run_ in enumerate(runs):
        yield run_, found.runs_j[i] if found.runs_j else None


def _noted(found: Figure) -> list[str]:
    return [found.note] if found.note else []


def _ratio(
    measured: Sequence[tuple[list[str], list[Run]]],
    payloads: list[dict[str, Any]],
    boundary: Boundary,
) -> Estimate | None:
    """Energy of the first command over the second's, from their runs."""
    if not all(payload["valid"] for payload in payloads):
        return None
    a, b = (([r.phase for r in runs], [r.idle for r in runs]) for _, runs in measured)
    return ratio(a, b, boundary)
