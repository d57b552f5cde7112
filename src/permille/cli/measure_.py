"""``permille measure -- CMD``: energy of any command, like hyperfine for joules."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from permille.analysis import intervals
from permille.analysis.commands import Figure, figure
from permille.analysis.rows import estimate_json, scaled
from permille.carbon.settings import CarbonSettings, to_json
from permille.cli.arguments import (
    add_carbon,
    add_json,
    carbon_of,
    positive_int,
    seconds,
    whole_number,
)
from permille.cli.results_ import carbon_text
from permille.cli.terminal import console, plain, print_json
from permille.errors import UsageError
from permille.recorder import Recorder
from permille.records import BOUNDARIES, Boundary, Estimate
from permille.study.command import Run, measure
from permille.units import (
    co2e_g,
    format_energy_kwh,
    format_mass_g,
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
        "-i", "--ignore-failure", action="store_true", help="a command may exit with other than 0"
    )
    parser.add_argument("--explain", action="store_true", help="show what the interval is made of")
    parser.add_argument("--export-markdown", type=Path, metavar="FILE", help="write a table too")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measure one command, or two and their ratio."""
    commands = _commands(args.command)
    carbon = carbon_of(args)
    with Recorder(shared=args.shared) as recorder:
        if args.require:
            recorder.require_measured()
        measured = [(command, _runs(recorder, command, args)) for command in commands]
        missing = recorder.missing
    payloads = [_payload(command, runs, carbon, args) for command, runs in measured]
    payload = payloads[0]
    if len(payloads) == 2:
        payload = {
            "schema": 1,
            "commands": payloads,
            "ratio": estimate_json(_ratio(payloads[0], payloads[1])),
            "valid": all(p["valid"] for p in payloads),
            "reason": next((p["reason"] for p in payloads if p["reason"]), None),
        }
    if args.export_markdown:
        args.export_markdown.write_text(_markdown(payloads), encoding="utf-8")
    if args.json:
        print_json(payload)
    else:
        for one in payloads:
            _show(one, carbon, explain=args.explain)
        if len(payloads) == 2:
            _show_ratio(payload["ratio"])
        for meter in missing:
            remedy = f"; to unlock it: {meter.remedy}" if meter.remedy else ""
            if meter.forbidden:
                print(plain(f"not measured: {meter.meter}: {meter.reason}{remedy}"))
    return 0 if payload["valid"] else 1


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
    command: list[str], runs: list[Run], carbon: CarbonSettings, args: argparse.Namespace
) -> dict[str, Any]:
    boundary: Boundary = args.boundary
    found = figure([r.phase for r in runs], [r.idle for r in runs], boundary, carbon.pue)
    failed = next((r.exit_code for r in runs if r.exit_code), 0)
    reason = found.reason
    if failed and not args.ignore_failure:
        reason = f"the command exited with {failed}; --ignore-failure counts it all the same"
    inferences = args.inferences
    energy = found.energy
    to_grams = carbon.intensity_g_per_kwh * (1.0 if boundary == "facility" else carbon.pue)
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
            {"energy_j": energy_j, "seconds": run.phase.seconds, "exit_code": run.exit_code}
            for run, energy_j in _pairs(runs, found)
        ],
        "provenance": found.provenance,
        "valid": reason is None,
        "reason": reason,
        "notes": list(dict.fromkeys([n for r in runs for n in r.notices] + _noted(found))),
        "recorder": {
            "cpu_s": sum(r.recorder.cpu_s for r in runs),
            "interval_s": runs[0].recorder.interval_s,
            "missed": sum(r.recorder.missed for r in runs),
        },
    }


def _pairs(runs: list[Run], found: Figure) -> Iterator[tuple[Run, float | None]]:
    for i, run_ in enumerate(runs):
        yield run_, found.runs_j[i] if found.runs_j else None


def _noted(found: Figure) -> list[str]:
    return [found.note] if found.note else []


def _ratio(a: dict[str, Any], b: dict[str, Any]) -> Estimate | None:
    """Energy of the first command over the second's, from their runs."""
    sides = [[run["energy_j"] for run in p["runs"]] for p in (a, b)]
    if not (a["valid"] and b["valid"]) or any(None in side or min(side) <= 0 for side in sides):
        return None
    return intervals.ratio(sides[0], sides[1])


def _interval(estimate: dict[str, Any], form: Any) -> str:
    if estimate["low"] is None:
        return str(form(estimate["value"]))
    return f"{form(estimate['value'])} [{form(estimate['low'])}, {form(estimate['high'])}]"


def _joules(value: float) -> str:
    return f"{value:,.3g} J" if abs(value) < 1000 else f"{value:,.0f} J"


def _show(payload: dict[str, Any], carbon: CarbonSettings, *, explain: bool) -> None:
    from rich.text import Text

    out = console()

    def say(text: str, style: str = "") -> None:
        out.print(Text(plain(text), style=style), soft_wrap=True)

    say(" ".join(payload["command"]), "bold")
    if payload["energy_j"]["value"] is None or not payload["valid"]:
        say(f"  no figure: {payload['reason']}", "red")
        if payload["energy_j"]["value"] is None:
            return
    provenance = payload["provenance"]
    say(
        f"  energy   {_interval(payload['energy_j'], _joules)}, {provenance}"
        f" ({payload['boundary']}; 95 %)"
    )
    if payload["net_energy_j"]:
        say(f"  net      {_interval(payload['net_energy_j'], _joules)} above idle")
    if payload["kwh_per_1000"]:
        say(f"  per 1,000 inferences {_interval(payload['kwh_per_1000'], format_energy_kwh)}")
    say(f"  carbon   {_interval(payload['co2e_g'], format_mass_g)} CO2e at {carbon_text(carbon)}")
    runs = len(payload["runs"])
    say(
        f"  time     {format_seconds(payload['seconds'])}"
        + (f", mean of {runs}" if runs > 1 else "")
    )
    for name, domain in payload["domains"].items():
        say(f"  {name:<8} {_joules(domain['energy_j'])}, {domain['provenance']}")
    for note in payload["notes"]:
        say(f"  note: {note}")


def _show_ratio(ratio: dict[str, Any]) -> None:
    from permille.analysis.answer import times_text

    if ratio["value"] is None:
        print("ratio: n/a")
        return
    found = Estimate(value=ratio["value"], low=ratio["low"], high=ratio["high"])
    print(f"the first needs {times_text(found)} the energy of the second")


def _markdown(payloads: list[dict[str, Any]]) -> str:
    lines = [
        "| command | energy | time | runs | provenance |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for p in payloads:
        command = plain(" ".join(p["command"])).replace("|", "\\|").replace("`", "'")
        energy = "n/a" if p["energy_j"]["value"] is None else _interval(p["energy_j"], _joules)
        lines.append(
            f"| `{command}` | {energy} | {format_seconds(p['seconds'])} | {len(p['runs'])} |"
            f" {p['provenance'] or p['reason']} |"
        )
    return "\n".join(lines) + "\n"
