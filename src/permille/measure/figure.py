"""The documented JSON of a measured command, from its runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import to_builtins

from permille.analysis.commands import Figure, figure, ratio, recorders_j
from permille.analysis.rows import estimate_json, scaled
from permille.carbon.footprint import carbon_overhead
from permille.carbon.settings import CarbonSettings, to_json
from permille.disturbance import refusal, share_disturbed
from permille.errors import MeterError
from permille.measure.command import Run, spans_of
from permille.processes import signal_name
from permille.recorder.wire import Missing
from permille.records import Boundary, Estimate, Phase, Provenance, Record
from permille.units import co2e_g, kwh_from_joules, per_1000


class FigureRequest(Record):
    """What is asked of a command's runs."""

    boundary: Boundary
    inferences: int | None
    repeats: int
    ignore_failure: bool
    quiet_machine: bool
    carbon: CarbonSettings


def command_json(
    command: list[str],
    runs: Sequence[Run],
    question: FigureRequest,
    missing: Sequence[Missing],
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """One command, as ``permille measure --json`` gives it."""
    boundary, carbon = question.boundary, question.carbon
    found = figure([r.phase for r in runs], [r.idle for r in runs], boundary, carbon.pue)
    spans = [spans_of(r.phase, r.idle) for r in runs]
    reason = _reason(runs, found, spans, question)
    return {
        "schema": 1,
        "command": command,
        "boundary": boundary,
        "energy_j": estimate_json(found.energy),
        "net_energy_j": found.net and estimate_json(found.net),
        "kwh_per_1000": found.energy and _kwh_per_1000(found.energy, question.inferences),
        "co2e_g": found.energy and _co2e_g(found.energy, carbon, boundary),
        "carbon": to_json(carbon),
        "domains": {
            name: {"energy_j": d.energy_j, "provenance": d.provenance}
            for name, d in found.domains.items()
        },
        "seconds": found.seconds,
        "inferences": question.inferences,
        "runs": [_run_json(run, energy_j) for run, energy_j in _pairs(runs, found)],
        "disturbed": share_disturbed(spans),
        "provenance": found.provenance,
        "valid": reason is None,
        "reason": reason,
        "notes": _notes(runs, found, notes),
        "uncertainty": [to_builtins(part) for part in found.parts],
        "not_measured": [
            {"meter": m.meter, "reason": m.reason, "remedy": m.remedy or None} for m in missing
        ],
        "recorder": _recorder_json(runs),
    }


def _reason(
    runs: Sequence[Run],
    found: Figure,
    spans: Sequence[dict[str, Phase]],
    question: FigureRequest,
) -> str | None:
    """Why the figure does not hold, or None. A command that failed comes first: whatever else is
    wrong, it did not do the work that is asked about."""
    failure = None if question.ignore_failure else _failure(runs, question.repeats)
    if failure or found.reason or not question.quiet_machine:
        return failure or found.reason
    return next((why for one in spans if (why := refusal(one))), None)


def _kwh_per_1000(energy: Estimate, inferences: int | None) -> dict[str, Any] | None:
    if not inferences:
        return None
    return estimate_json(scaled(energy, lambda j: per_1000(kwh_from_joules(j), inferences)))


def _co2e_g(energy: Estimate, carbon: CarbonSettings, boundary: Boundary) -> dict[str, Any]:
    to_grams = carbon.intensity_g_per_kwh * carbon_overhead(carbon.pue, boundary)
    return estimate_json(scaled(energy, lambda j: co2e_g(kwh_from_joules(j), to_grams)))


def _run_json(run: Run, energy_j: float | None) -> dict[str, Any]:
    return {
        "energy_j": energy_j,
        "seconds": run.phase.seconds,
        "exit_code": run.exit_code,
        "others_cpu": run.phase.disturbance and run.phase.disturbance.others,
    }


def _notes(runs: Sequence[Run], found: Figure, notes: Sequence[str]) -> list[str]:
    """What to know of the figure, each thing once."""
    every = [*notes, *(n for r in runs for n in r.notices), *_left(runs), found.note]
    return list(dict.fromkeys(note for note in every if note))


def _recorder_json(runs: Sequence[Run]) -> dict[str, Any]:
    """What the recorder itself cost, which is in the figures of the runs."""
    return {
        "cpu_s": sum(r.recorder.cpu_s for r in runs),
        "energy_j": recorders_j([(r.phase, r.recorder) for r in runs]),
        "interval_s": runs[0].recorder.interval_s,
        "missed": sum(r.recorder.missed for r in runs),
    }


def pair_json(
    payloads: Sequence[dict[str, Any]], runs: Sequence[Sequence[Run]], boundary: Boundary
) -> dict[str, Any]:
    """Two commands and the ratio of their energy."""
    return {
        "schema": 1,
        "commands": list(payloads),
        "ratio": estimate_json(_ratio(payloads, runs, boundary)),
        "valid": all(p["valid"] for p in payloads),
        "reason": next((p["reason"] for p in payloads if p["reason"]), None),
    }


def require_measured(payloads: Sequence[dict[str, Any]]) -> None:
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


def _failure(runs: Sequence[Run], repeats: int) -> str | None:
    """How the first run that failed ended, and which it was."""
    for number, run in enumerate(runs, 1):
        code = run.exit_code
        if code:
            how = f"was killed by {signal_name(-code)}" if code < 0 else f"exited with {code}"
            which = f" (run {number} of {repeats})" if repeats > 1 else ""
            return f"the command {how}{which}; --ignore-failure counts it all the same"
    return None


def _left(runs: Sequence[Run]) -> list[str]:
    """A note on processes that outlived the command."""
    leaving = [run for run in runs if run.left]
    if not leaving:
        return []
    names = ", ".join(sorted({name for run in leaving for name in run.left}))[:200]
    often = f" by {len(leaving)} of {len(runs)} runs" if len(runs) > 1 else ""
    stopped = ", and they were stopped before the next run" if len(runs) > 1 else ""
    return [
        f"processes were left running{often} ({names}): their energy is not in it{stopped}; to"
        " measure it, have the command wait for them"
    ]


def _pairs(runs: Sequence[Run], found: Figure) -> Iterator[tuple[Run, float | None]]:
    for i, run in enumerate(runs):
        yield run, found.runs_j[i] if found.runs_j else None


def _ratio(
    payloads: Sequence[dict[str, Any]], runs: Sequence[Sequence[Run]], boundary: Boundary
) -> Estimate | None:
    """Energy of the first command over the second's; None where one has no valid figure."""
    if not all(payload["valid"] for payload in payloads):
        return None
    a, b = (([r.phase for r in each], [r.idle for r in each]) for each in runs)
    return ratio(a, b, boundary)
