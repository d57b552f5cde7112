"""AI Energy Score's ``master_results.csv``: GPU energy of a model over a task's prompts.

``gpu_energy_wh`` (Wh) covers all prompts of a run. Only GPUs are metered, so these trials only have
the boundary ``accelerator``. The file does not name the hardware.
"""

from __future__ import annotations

from collections.abc import Iterator

from permille.importers import Options, Tally
from permille.importers import trials as build
from permille.importers.codecarbon.importer import GPU_ACCURACY
from permille.importers.plausible import disagreement, emissions_fault, power_fault
from permille.importers.reading.files import Source
from permille.importers.reading.rows import BadValue, not_negative, positive, rows, text, whole
from permille.records.energy import Phase
from permille.records.recording import Provenance
from permille.records.trial import Protocol, Trial
from permille.units import joules_from_kwh

SOURCE = "ai-energy-score"
REQUIRED = ("model_name", "task", "total_prompts", "successful_prompts", "gpu_energy_wh")
_TOLERANCE = 0.01


class AiEnergyScoreImporter:
    """The ``ai-energy-score`` format."""

    name = SOURCE

    def trials(self, source: Source, tally: Tally, options: Options) -> Iterator[Trial]:
        """One trial per row: a model on a task, with or without reasoning."""
        for member in source.members(tally.leave_out):
            if not member.is_of(".csv"):
                continue
            # A failed run's traceback is in error_message, with its line breaks.
            for at, row in rows(member, tally, REQUIRED, breaks_in_fields=True):
                try:
                    tally.place(member.name, at)
                    yield _trial(row, options)
                except BadValue as error:
                    tally.leave_out(member.name, at, str(error))


importer = AiEnergyScoreImporter()


# complex: one guard per line, each with its own message, in the order of the columns
def _trial(row: dict[str, str], options: Options) -> Trial:
    model, task = text(row, "model_name"), text(row, "task")
    if model is None or task is None:
        raise BadValue("model_name or task is missing")
    # The end of a traceback has its message. The whole, up to 100 lines, would be repeated by
    # every table of the failed trials.
    error = (text(row, "error_message") or "")[-build.MAX_NAME :]
    answered = not_negative(row, "successful_prompts")
    # A run that answered and then failed has a figure for what it answered; a note says so.
    failed = None if answered else error or "no prompt was answered"
    settings = {
        name: known for name in ("model_class", "reasoning_state") if (known := text(row, name))
    }
    notes = ["GPU energy only; the file does not name the hardware"]
    if error and not failed:
        notes.append(f"logged with an error: {error}")
    counts = {
        ours: value
        for ours, theirs in (
            ("tokens_in", "total_prompt_tokens"),
            ("tokens_out", "total_completion_tokens"),
        )
        if (value := not_negative(row, theirs)) is not None
    }
    return Trial(
        uid=f"{SOURCE}:{build.digest(row)}",
        study=options.study or SOURCE,
        cell=build.cell(
            SOURCE,
            task=task.replace("_", "-"),
            dataset=SOURCE,
            model=model,
            category="unknown",
            backend=build.UNKNOWN,
            settings=settings,
        ),
        repeat=0,
        status="failed" if failed else "done",
        reason=failed,
        started=build.started(text(row, "timestamp")),
        protocol=Protocol(inferences=whole(row, "total_prompts"), name=SOURCE),
        environment=build.environment({}),
        source=SOURCE,
        phases={} if failed else {"query": _query(row)},
        counts={} if failed else counts,
        notes=tuple(notes),
    )


def _query(row: dict[str, str]) -> Phase:
    energy_wh = positive(row, "gpu_energy_wh")
    seconds = positive(row, "total_duration_seconds")
    _check(row, energy_wh, seconds)
    return Phase(
        seconds=seconds,
        domains={
            "gpu": build.domain(
                joules_from_kwh(energy_wh / 1000),
                "gpu",
                SOURCE,
                Provenance.MEASURED,
                GPU_ACCURACY,
            )
        },
        problems=build.GPU_ONLY,
        inferences=_inferences(row, energy_wh),
    )


def _check(row: dict[str, str], energy_wh: float, seconds: float) -> None:
    """Compare with the row's other figures for the same energy."""
    energy_j = joules_from_kwh(energy_wh / 1000)
    co2e_g = not_negative(row, "co2_emissions_g")
    fault = power_fault("gpu", energy_j, seconds) or (
        emissions_fault(co2e_g / 1000, energy_wh / 1000) if co2e_g else None
    )
    each_wh = not_negative(row, "avg_energy_per_prompt_wh")
    if fault is None and each_wh:
        prompts = positive(row, "successful_prompts")
        product = "avg_energy_per_prompt_wh x successful_prompts"
        fault = disagreement("gpu_energy_wh", energy_wh, product, each_wh * prompts)
    if fault is not None:
        raise BadValue(fault)


def _inferences(row: dict[str, str], energy_wh: float) -> int:
    """The prompts on which the file's own Wh per 1,000 is based: those answered, or all."""
    answered, sent = whole(row, "successful_prompts"), whole(row, "total_prompts")
    if answered > sent:
        raise BadValue(f"{answered} prompts of {sent} were answered")
    per_1000 = not_negative(row, "wh_per_1000_queries")
    # Answered prompts first: they also count if the file has no Wh per 1,000 to decide by.
    for prompts in (answered, sent):
        if per_1000 is None or abs(energy_wh * 1000 / prompts - per_1000) <= _TOLERANCE * per_1000:
            return prompts
    raise BadValue("wh_per_1000_queries does not follow from gpu_energy_wh and the prompts")
