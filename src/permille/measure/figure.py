"""The documented JSON of a measured command, from its runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import structs

from permille.analysis.budget import UncertaintyPart
from permille.analysis.commands import DomainMean, Figure, figure, recorders_j
from permille.analysis.estimates import Interval, scaled
from permille.carbon.footprint import carbon_overhead
from permille.carbon.settings import CarbonSettings
from permille.energy.disturbance import notes as disturbance_notes
from permille.energy.disturbance import over_runs, refusal, share_disturbed
from permille.errors import MeterError
from permille.measure.command import Run, spans_of
from permille.measure.commands import CommandLine
from permille.processes import signal_name
from permille.recorder.wire import Missing
from permille.records import JsonOutput, Record
from permille.records.energy import Boundary, Estimate, Phase
from permille.records.recording import Provenance
from permille.units import co2e_g, kwh_from_joules, per_1000


class FigureRequest(Record):
    """What figure is wanted of a command's runs."""

    boundary: Boundary
    inferences: int | None
    repeats: int
    ignore_failure: bool
    quiet_machine: bool
    carbon: CarbonSettings


class MeasuredRun(Record):
    """One run. ``others_cpu``: the share of the machine's CPU time that other processes used."""

    energy_j: float | None
    seconds: float
    exit_code: int
    others_cpu: float | None


class NotMeasured(Record):
    """A meter that is here and cannot be read, and how to unlock it."""

    meter: str
    reason: str
    remedy: str | None


class RecorderCost(Record):
    """What the recorder itself took, which is in the figures of the runs: CPU seconds, joules at
    most, and the readings that it missed."""

    cpu_s: float
    energy_j: float | None
    interval_s: float
    missed: int


class MeasuredCommand(JsonOutput):
    """What ``permille measure --json`` prints of one command: the mean of its runs.

    ``net_energy_j``: above idle, with ``--idle``; ``kwh_per_1000``: with ``--inferences``;
    ``market_co2e_g``: with ``--market-intensity``, next to ``co2e_g`` and never added to it.
    ``disturbed``: the share of runs that other processes disturbed. ``valid`` is false where the
    figure does not hold; ``reason`` says why. ``uncertainty``: what the interval is made of.
    """

    command: tuple[str, ...]
    boundary: Boundary
    energy_j: Interval
    net_energy_j: Interval | None
    kwh_per_1000: Interval | None
    co2e_g: Interval | None
    market_co2e_g: Interval | None
    carbon: CarbonSettings
    domains: dict[str, DomainMean]
    seconds: float
    inferences: int | None
    runs: tuple[MeasuredRun, ...]
    disturbed: float | None
    provenance: Provenance | None
    valid: bool
    reason: str | None
    notes: tuple[str, ...]
    uncertainty: tuple[UncertaintyPart, ...]
    not_measured: tuple[NotMeasured, ...]
    recorder: RecorderCost


def command_json(
    command: CommandLine,
    runs: Sequence[Run],
    question: FigureRequest,
    missing: Sequence[Missing],
    notes: Sequence[str] = (),
) -> MeasuredCommand:
    """One command's figure, from its runs."""
    boundary, carbon = question.boundary, question.carbon
    result = figure([r.phase for r in runs], [r.idle for r in runs], boundary, carbon.pue)
    spans = [spans_of(r.phase, r.idle) for r in runs]
    reason = _reason(runs, result, spans, question)
    return MeasuredCommand(
        command=command.words,
        boundary=boundary,
        energy_j=Interval.of(result.energy),
        net_energy_j=Interval.known(result.net),
        kwh_per_1000=_kwh_per_1000(result.energy, question.inferences),
        co2e_g=_co2e_g(result.energy, carbon.intensity_g_per_kwh, carbon, boundary),
        market_co2e_g=_co2e_g(result.energy, carbon.market_intensity_g_per_kwh, carbon, boundary),
        carbon=carbon,
        domains=result.domains,
        seconds=result.seconds,
        inferences=question.inferences,
        runs=tuple(_run(run, energy_j) for run, energy_j in _pairs(runs, result)),
        disturbed=share_disturbed(spans),
        provenance=result.provenance,
        valid=reason is None,
        reason=reason,
        notes=_notes(runs, result, notes),
        uncertainty=result.parts,
        not_measured=tuple(
            NotMeasured(meter=m.meter, reason=m.reason, remedy=m.remedy or None) for m in missing
        ),
        recorder=_recorder(runs),
    )


def _reason(
    runs: Sequence[Run],
    figure: Figure,
    spans: Sequence[dict[str, Phase]],
    question: FigureRequest,
) -> str | None:
    """Why the figure does not hold, or None. A command that failed comes first: whatever else is
    wrong, it did not do the work."""
    failure = None if question.ignore_failure else ended_badly(runs, question.repeats)
    failure = failure and f"{failure}; --ignore-failure counts it anyway"
    if failure or figure.reason or not question.quiet_machine:
        return failure or figure.reason
    return next((why for one in spans if (why := refusal(one))), None)


def _kwh_per_1000(energy: Estimate | None, inferences: int | None) -> Interval | None:
    if energy is None or not inferences:
        return None
    return Interval.of(scaled(energy, lambda j: per_1000(kwh_from_joules(j), inferences)))


def _co2e_g(
    energy: Estimate | None, g_per_kwh: float | None, carbon: CarbonSettings, boundary: Boundary
) -> Interval | None:
    if energy is None or g_per_kwh is None:
        return None
    to_grams = g_per_kwh * carbon_overhead(carbon.pue, boundary)
    return Interval.of(scaled(energy, lambda j: co2e_g(kwh_from_joules(j), to_grams)))


def _run(run: Run, energy_j: float | None) -> MeasuredRun:
    disturbance = run.phase.disturbance
    return MeasuredRun(
        energy_j=energy_j,
        seconds=run.phase.seconds,
        exit_code=run.exit_code,
        others_cpu=None if disturbance is None else disturbance.others,
    )


def _notes(runs: Sequence[Run], figure: Figure, notes: Sequence[str]) -> tuple[str, ...]:
    """What to know of the figure, each thing once."""
    spans = [spans_of(r.phase, r.idle) for r in runs]
    single = {note for one in spans for note in disturbance_notes(one)}
    # Each run has a note about other processes; over_runs makes one sentence of them all.
    noticed = [note for r in runs for note in r.notices if note not in single]
    every = [*notes, *noticed, *over_runs(spans), *_left(runs), figure.note]
    return tuple(dict.fromkeys(note for note in every if note))


def _recorder(runs: Sequence[Run]) -> RecorderCost:
    return RecorderCost(
        cpu_s=sum(r.recorder.cpu_s for r in runs),
        energy_j=recorders_j([(r.phase, r.recorder) for r in runs]),
        interval_s=runs[0].recorder.interval_s,
        missed=sum(r.recorder.missed for r in runs),
    )


def without_others(runs: Sequence[Run]) -> list[Run]:
    """The runs as if no other process had worked on the machine: of an estimate, where it is known
    what the others took. A counter counts them all: its figures stay, and a note says so."""
    return [
        structs.replace(
            run,
            phase=_own(run.phase),
            idle=run.idle and _own(run.idle),
            notices=(*run.notices, *_not_own(run.phase)),
        )
        for run in runs
    ]


def _own(phase: Phase) -> Phase:
    domains = {
        name: d if d.own_j is None else structs.replace(d, energy_j=d.own_j)
        for name, d in phase.domains.items()
    }
    return structs.replace(phase, domains=domains)


def _not_own(phase: Phase) -> list[str]:
    whole = [name for name, d in phase.domains.items() if d.own_j is None]
    if not whole:
        return []
    return [f"{', '.join(whole)}: the work of other processes cannot be separated, and is included"]


def phases_of(runs: Sequence[Run]) -> tuple[list[Phase], list[Phase | None]]:
    """The runs as a ratio takes them: the phases, and the idle phase before each."""
    return [run.phase for run in runs], [run.idle for run in runs]


def require_measured(figures: Sequence[Figure | MeasuredCommand], boundary: Boundary) -> None:
    """Refuse figures that rest on more than a meter's measurement.

    Raises:
        MeterError: one of them does.
    """
    for one in figures:
        # Without a provenance there is no figure at all, which has a reason and an exit code of its
        # own.
        if one.provenance not in (None, Provenance.MEASURED):
            weak = [n for n, d in one.domains.items() if d.provenance != "measured"]
            raise MeterError(
                f"the energy within {boundary} is {one.provenance}"
                f" ({', '.join(weak)}), and a measurement is required; see: permille meters"
            )


def ended_badly(runs: Sequence[Run], repeats: int) -> str | None:
    """How the first run that failed ended, and which it was."""
    for number, run in enumerate(runs, 1):
        code = run.exit_code
        if code:
            how = f"was killed by {signal_name(-code)}" if code < 0 else f"exited with {code}"
            which = f" (run {number} of {repeats})" if repeats > 1 else ""
            return f"the command {how}{which}"
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


def _pairs(runs: Sequence[Run], figure: Figure) -> Iterator[tuple[Run, float | None]]:
    for i, run in enumerate(runs):
        yield run, figure.runs_j[i] if figure.runs_j else None
