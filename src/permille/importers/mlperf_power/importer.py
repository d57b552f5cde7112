"""MLPerf power logs as trials: the energy of a whole system at the wall, by a certified meter.

A run is a folder with ``spl.txt`` beside ``mlperf_log_detail.txt``, as in a submission's
``…/<system>/<benchmark>/<scenario>/performance/run_1``. ``../power`` has what the client and the
director of the measurement (mlcommons/power-dev) recorded; it says which meter it was, whether
PTDaemon checked its uncertainty, and the zones of the two clocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from permille.importers import Options, Tally
from permille.importers import trials as build
from permille.importers.mlperf_power import director, loadgen, spl
from permille.importers.plausible import disagreement, power_fault
from permille.importers.reading.files import Member, Source
from permille.records.energy import Phase, Refused
from permille.records.recording import DomainKind, Provenance
from permille.records.trial import Protocol, Trial
from permille.units import format_share

SOURCE = "mlperf-power"
CERTIFIED, UNCONFIRMED = 0.01, 0.05
"""Accuracy (relative, k = 2). PTDaemon checks each sample's uncertainty against a limit of 1 %,
which MLPerf requires (mlcommons/power-dev, compliance/check.py); where no log of that is beside the
run, as for any other wall meter."""
COVERS: tuple[DomainKind, ...] = ("cpu", "dram", "gpu", "other")
MOST_RUNS = 10_000
# The command is run twice: first to find the ranges of volts and amperes that the meter is then set
# to (mlcommons/power-dev, ptd_client_server/README.md). Only the second run counts.
RANGING = "ranging"
_TASKS = {
    "resnet": "image-classification",
    "retinanet": "object-detection",
    "ssd-": "object-detection",
    "bert": "question-answering",
    "gptj": "summarization",
    "llama": "text-generation",
    "mixtral": "text-generation",
    "stable-diffusion": "text-to-image",
    "rnnt": "automatic-speech-recognition",
    "whisper": "automatic-speech-recognition",
}
"""The tasks of MLPerf's benchmarks, by the start of their names."""


class MlperfPowerImporter:
    """The ``mlperf-power`` format."""

    name = SOURCE

    def trials(self, source: Source, tally: Tally, options: Options) -> Iterator[Trial]:
        """One trial per run with a power log; the ranging runs before them are not counted."""
        runs, directors = _collected(source, tally)
        for folder, run in sorted(runs.items()):
            # Submissions also contain accuracy runs, and systems without a meter.
            if run.samples is None:
                continue  # a run without power, as most are
            tally.rows += 1
            if not run.log:
                reason = "no mlperf_log_detail.txt beside this spl.txt; import the run's folder"
                tally.leave_out(folder, None, reason)
                continue
            beside = directors.get(str(PurePosixPath(folder).parent / "power"), director.Director())
            try:
                tally.place(folder, None)
                yield _trial(_place(source, folder), run, run.samples, beside, options)
            except (ValueError, OverflowError) as error:
                tally.leave_out(folder, None, str(error))


importer = MlperfPowerImporter()


class _Run:
    """What is known of one folder."""

    def __init__(self) -> None:
        self.samples: spl.Samples | None = None
        self.log: dict[str, Any] = {}


def _collected(
    source: Source, tally: Tally
) -> tuple[dict[str, _Run], dict[str, director.Director]]:
    """Runs and directors by their folder: the members of an archive come in any order."""
    runs: dict[str, _Run] = {}
    directors: dict[str, director.Director] = {}
    room = spl.MOST_SAMPLES
    for member in source.members(tally.leave_out):
        path = PurePosixPath(member.name)
        folder = str(path.parent)
        if path.name in director.FILES:
            if folder in directors or len(directors) < MOST_RUNS:
                directors.setdefault(folder, director.Director()).read(member, tally)
            continue
        if path.name not in _READERS or path.parent.name == RANGING:
            continue
        if folder not in runs and len(runs) >= MOST_RUNS:
            tally.leave_out(member.name, None, f"more than {MOST_RUNS:,} runs in one import")
            continue
        tally.files += 1
        try:
            _READERS[path.name](runs.setdefault(folder, _Run()), member, tally, room)
        except ValueError as error:
            tally.leave_out(member.name, None, str(error))
        room = spl.MOST_SAMPLES - sum(len(run.samples.t_s) for run in runs.values() if run.samples)
    return runs, directors


def _read_spl(run: _Run, member: Member, tally: Tally, room: int) -> None:
    run.samples = spl.read(member, tally, room)


def _read_detail(run: _Run, member: Member, tally: Tally, room: int) -> None:
    run.log |= loadgen.detail(member, tally)


def _read_summary(run: _Run, member: Member, tally: Tally, room: int) -> None:
    run.log |= loadgen.summary(member, tally)


_READERS = {
    "spl.txt": _read_spl,
    "mlperf_log_detail.txt": _read_detail,
    "mlperf_log_summary.txt": _read_summary,
}


def _place(source: Source, folder: str) -> tuple[str, ...]:
    """The names of the folders around a run, also those above the one that the user named."""
    above = source.path.resolve().parts if source.path.is_dir() else ()
    return (*above, *PurePosixPath(folder).parts)


def _trial(
    place: tuple[str, ...],
    run: _Run,
    samples: spl.Samples,
    beside: director.Director,
    options: Options,
) -> Trial:
    log = run.log
    scenario = loadgen.scenario(log)
    begin_s, end_s = (_mark(log, key) for key in ("power_begin", "power_end"))
    inferences = loadgen.samples(log, scenario)
    metered, zone_note = _metered(samples, begin_s, end_s, beside)
    _check(metered, end_s - begin_s, inferences, loadgen.rate(log))
    system, benchmark = _named(place)
    model = benchmark or log.get("sut_name") or build.UNKNOWN
    accuracy = CERTIFIED if beside.certified else UNCONFIRMED
    node = build.domain(
        metered.energy_j,
        "node",
        SOURCE,
        Provenance.MEASURED,
        (accuracy, accuracy),
        edge_j=metered.edge_j,
        covers=COVERS,
    )
    version = loadgen.text(log, "loadgen_version")
    return Trial(
        # By what was measured, not by its path: in another folder or archive it is the same run.
        uid=f"{SOURCE}:{build.digest([begin_s, end_s, inferences, metered.energy_j])}",
        study=options.study or SOURCE,
        cell=build.cell(
            SOURCE,
            task=_task(benchmark),
            dataset="mlperf",
            model=model,
            category="unknown",
            backend=build.UNKNOWN,
            settings={"scenario": scenario, "loadgen": version},
        ),
        repeat=0,
        status="done",
        reason=None,
        started=datetime.fromtimestamp(begin_s, UTC).isoformat(),
        protocol=Protocol(inferences=inferences, name=SOURCE),
        environment=build.environment({"system": system, "meter": beside.meter}),
        source=SOURCE,
        device=system,
        phases={
            "query": Phase(seconds=end_s - begin_s, domains={"node": node}, inferences=inferences)
        },
        latency=loadgen.latency(log, scenario, inferences),
        notes=_notes(log, samples, beside, zone_note),
    )


def _mark(log: dict[str, Any], key: str) -> float:
    value = loadgen.text(log, key)
    if value is None:
        raise ValueError(f"no {key} in mlperf_log_detail.txt: not a run with power")
    try:
        return spl.seconds(value)
    except ValueError:
        raise ValueError(f"{key} is {value[:40]!r}, not a time") from None


def _metered(
    samples: spl.Samples, begin_s: float, end_s: float, beside: director.Director
) -> tuple[spl.Metered, str | None]:
    """The energy, and a note if the clocks were in different zones.

    LoadGen and the director write the time in UTC since MLPerf 1.1, and in their own zones before,
    which power/client.json and power/server.json then tell. Only a log that covers the whole run
    is taken, so that a wrong zone has no figure.

    Raises:
        ValueError: no zone fits, or both do.
    """
    if not begin_s < end_s:
        raise ValueError("power_end is not after power_begin")
    # Neither log names its zone, so both readings are tried.
    same = spl.between(samples, begin_s, end_s)
    shift_s = beside.shift_s
    other: spl.Metered | Refused = Refused(reason="")
    if shift_s:
        other = spl.between(samples, begin_s + shift_s, end_s + shift_s)
    if isinstance(same, spl.Metered) and isinstance(other, spl.Metered):
        raise ValueError(
            f"spl.txt covers the run both as it stands and {shift_s / 3600:+.3g} h apart, as"
            " power/client.json and power/server.json say: it is not known which is right"
        )
    if isinstance(other, spl.Metered):
        return other, f"the clocks of LoadGen and of the meter are {shift_s / 3600:+.3g} h apart"
    if isinstance(same, Refused):
        raise ValueError(f"{same.reason}; are the clocks in different zones?")
    return same, None


def _check(metered: spl.Metered, seconds: float, inferences: int, rate: float | None) -> None:
    fault = power_fault("node", metered.energy_j, seconds)
    if fault is None and rate is not None:
        product = "LoadGen's samples per second x the time"
        fault = disagreement("the number of samples", inferences, product, rate * seconds)
    if fault is not None:
        raise ValueError(fault)


def _named(place: tuple[str, ...]) -> tuple[str | None, str | None]:
    """The system and the benchmark, where the folders are those of a submission."""
    # …/<system>/<benchmark>/<scenario>/performance/run_1 (MLPerf's submission rules).
    if len(place) < 5 or place[-2] != "performance":
        return None, None
    return place[-5][: build.MAX_NAME], place[-4][: build.MAX_NAME]


def _task(benchmark: str | None) -> str:
    name = (benchmark or "").lower()
    return next((task for start, task in _TASKS.items() if name.startswith(start)), build.UNKNOWN)


def _notes(
    log: dict[str, Any], samples: spl.Samples, beside: director.Director, zone_note: str | None
) -> tuple[str, ...]:
    notes = ["the whole system at the wall, by SPEC PTDaemon"]
    if not beside.certified:
        notes.append(
            "no power/ptd_logs.txt that shows PTDaemon checking the meter's uncertainty: taken as"
            f" ±{format_share(UNCONFIRMED)}"
        )
    if samples.unread:
        notes.append(f"{samples.unread} samples of the meter without a power are left out")
    if log.get("result_validity") not in (None, "VALID"):
        notes.append("LoadGen calls the run invalid (too short, or too slow for its scenario)")
    return (*notes, *([zone_note] if zone_note else []))
