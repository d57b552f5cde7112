"""The raw data of *Power Hungry Processing* (Luccioni, Jernite, Strubell, FAccT 2024).

Every run has its own CodeCarbon task file (``emissions/base/``). Its task, dataset and model are in
the files of ``emissions/complete/``, one per (task, dataset), whose rows join on ``run_id``. The
published tables are based on the paper's set (see ``paper_set``), whose trials get the study
``power-hungry-2023``; all others get ``power-hungry-2023-other``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import msgspec

from permille.importers import Options, Tally
from permille.importers import trials as build
from permille.importers.codecarbon import importer as codecarbon
from permille.importers.codecarbon.rows import Line, runs
from permille.importers.power_hungry.study import Study, architecture, model_name, read_study
from permille.importers.reading.files import Source
from permille.importers.reading.rows import BadValue
from permille.records.cell import ModelFacts
from permille.records.energy import DomainEnergy, Phase, Problem
from permille.records.recording import Provenance
from permille.records.trial import Protocol, Trial

STUDY = "power-hungry-2023"
OTHER = "power-hungry-2023-other"

IDLE_GPUS = 7
IDLE_GPU_W = 55.4
"""Idle power (W) of one of the node's eight A100s: the lowest mean power of a query phase in the
data, 443 W, divided by eight. An estimate: the node was never logged idle."""
IDLE_ACCURACY = (0.1, 0.12)
"""While models load, the lowest and the median power of the node are 426 and 494 W, 53 and 62 W per
GPU: a tenth below and an eighth above (relative)."""


class PowerHungryImporter:
    """The ``power-hungry-2023`` format: the study's repository, or an archive of it."""

    name = STUDY

    def trials(self, source: Source, tally: Tally, options: Options) -> Iterator[Trial]:
        """Every run, in the order of the files. The source is read twice."""
        study = read_study(source, tally)
        for member in source.members(tally.leave_out):
            if not _is_base(member.name):
                continue
            for run in runs(member, tally, tasks=True):
                try:
                    tally.place(member.name, run[0].line)
                    yield _trial(run, study)
                except BadValue as error:
                    tally.leave_out(member.name, run[0].line, str(error))


importer = PowerHungryImporter()


def _is_base(name: str) -> bool:
    path = PurePosixPath(name)
    return path.name.startswith("emissions_base_") and path.suffix == ".csv"


# complex: one archive with a fixed set of columns, each with its own exception
def _trial(run: list[Line], study: Study) -> Trial:
    first = run[0]
    place = study.places.get(first.run_id)
    model = model_name(first.project)
    notes = ["idle GPUs are an estimate: 7 x 55.4 W of the logged reading of all eight"]
    if model != first.project:
        notes.append(f"logged as {first.project}")
    key = (place.dataset if place else "", model)
    lengths = study.lengths.get(key) if place and place.in_paper else None
    return Trial(
        uid=f"{STUDY}:{first.run_id}",
        study=STUDY if place and place.in_paper else OTHER,
        cell=build.cell(
            STUDY,
            task=place.task if place else build.UNKNOWN,
            dataset=place.dataset if place else build.UNKNOWN,
            model=model,
            category=place.category if place else "unknown",
            backend="diffusers" if place and place.task == "text-to-image" else "transformers",
            settings={} if place is None or place.in_paper else {"set": place.set_name},
        ),
        repeat=place.repeat if place else 0,
        status="done",
        reason=None,
        started=first.started,
        # The study ran 1,000 samples per dataset. What a run in no complete file did is unknown.
        protocol=Protocol(inferences=1000 if place else 0, name=STUDY),
        environment=build.environment(first.machine, codecarbon.logged_grid(run)),
        source=STUDY,
        device="one NVIDIA A100-SXM4-80GB of eight",
        facts=ModelFacts(params=study.params.get(model), architecture=architecture(model)),
        phases=_phases(run, 1000 if place else None),
        quality=study.quality.get(key) if place and place.in_paper else None,
        counts={"input_length": lengths.input, "output_length": lengths.output} if lengths else {},
        notes=tuple(notes),
    )


def _phases(run: list[Line], inferences: int | None) -> dict[str, Phase]:
    names = {"load model": "load", "transfer model to GPU": "transfer", "query model": "query"}
    phases: dict[str, Phase] = {}
    for line in run:
        name = names.get(line.task or "")
        if name is None or name in phases:
            raise BadValue(f"task {line.task!r} was not expected in run {line.run_id}")
        # The paper's tables rest on every row as it was logged, those of a second too, whose
        # energies stand for fewer readings than their seconds.
        logged = msgspec.structs.replace(line, doubts={})
        whole = codecarbon.phase(logged, inferences if name == "query" else None)
        phases[name] = _split_gpus(whole)
    if "query" not in phases:
        raise BadValue(f"no task 'query model' in run {run[0].run_id}")
    return phases


def _split_gpus(phase: Phase) -> Phase:
    """The node's eight GPUs as the one in use and the seven idle ones, whose sum is the logged
    reading. The uncertainty of the idle ones applies to the active one with the opposite sign."""
    gpu = phase.domains.get("gpu")
    if gpu is None:
        return phase
    rest = {name: domain for name, domain in phase.domains.items() if name != "gpu"}
    idle_j = IDLE_GPUS * IDLE_GPU_W * phase.seconds
    active_j = gpu.energy_j - idle_j
    if active_j <= 0:
        problem = Problem(
            reason="the eight GPUs read less than the assumed power of seven idle ones", kind="gpu"
        )
        return Phase(
            seconds=phase.seconds,
            domains=rest,
            problems={**phase.problems, "gpu:active": problem},
            inferences=phase.inferences,
        )
    low, high = IDLE_ACCURACY
    split: dict[str, DomainEnergy] = {
        "gpu:active": build.domain(
            active_j,
            "gpu",
            "codecarbon",
            Provenance.MODELLED,
            (
                # The true energy cannot be below 0.
                min(1.0, (gpu.accuracy_low * gpu.energy_j + high * idle_j) / active_j),
                (gpu.accuracy_high * gpu.energy_j + low * idle_j) / active_j,
            ),
        ),
        "gpu:idle": build.domain(
            gpu.energy_j - active_j,
            "gpu",
            "codecarbon",
            Provenance.ESTIMATED,
            IDLE_ACCURACY,
            # Left out of accelerator and compute, and counted in node.
            in_use=False,
        ),
    }
    return Phase(
        seconds=phase.seconds,
        domains={**rest, **split},
        problems=phase.problems,
        inferences=phase.inferences,
    )
