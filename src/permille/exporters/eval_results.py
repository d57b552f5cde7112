"""One figure as an entry of the Hub's ``.eval_results/*.yaml``: a score on a benchmark.

The Hub shows an entry on the leaderboard of the benchmark that it names. An energy is a score only
on a benchmark that ranks energies, so the user must name it.
"""

from __future__ import annotations

from collections.abc import Set

from permille.errors import UsageError
from permille.exporters import Export, ExportRequest
from permille.exporters.single import (
    boundary_text,
    check_of_one_model,
    checked_link,
    energy_text,
    interval_of,
    measured_on,
    named,
    only_row,
    provenance_text,
    shown,
    without,
)
from permille.units import wh_from_kwh

_HOW = (
    "name the benchmark on whose leaderboard an energy is the score: --benchmark"
    " OWNER/DATASET:TASK (what this file contains is shown there as the model's score)"
)


class EvalResultsFile:
    """An entry with the Wh per 1,000 inferences; the interval and its basis are in its notes."""

    own_options: Set[str] = frozenset({"link", "benchmark"})

    def refusal(self, given: Set[str]) -> str | None:
        """Every option is supported."""
        return None

    def export(self, request: ExportRequest) -> Export:
        """The file, written by huggingface_hub.

        Raises:
            UsageError: no benchmark was named, or its name is not one; there are several rows, or
            the figure has no interval or date or is of replica weights.
        """
        from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
        from huggingface_hub.utils import yaml_dump  # type: ignore[attr-defined]

        dataset, task = _benchmark(request.benchmark)
        results = request.results()
        check_of_one_model(results, "an .eval_results file")
        row = only_row(results)
        days = measured_on(row, request.trials())
        kwh = row.kwh_per_1000.value
        if days is None or kwh is None:
            raise without(row, ["no date"])
        basis = f"{boundary_text(results, row)}; {provenance_text(row)}"
        entry = EvalResultEntry(
            dataset_id=dataset,
            task_id=task,
            # The entry has no field for a unit. It is that of the model-index, and in the notes.
            value=wh_from_kwh(kwh),
            date=f"{days[1]}",  # the last day: its trials are part of the score
            source_url=None if request.link is None else checked_link(request.link),
            notes=(
                f"Wh per 1,000 inferences of {named(row)}: {energy_text(row)}, 95 % interval"
                f" {interval_of(row)};"
                f" {basis}; {shown(row.task)} on {shown(row.dataset)};"
                f" {shown(row.device or 'device not recorded')}; {row.trials.done} trials; permille"
            ),
        )
        text: str = yaml_dump(eval_result_entries_to_yaml([entry]))
        return Export(text.encode().rstrip() + b"\n", 1)


exporter = EvalResultsFile()


def _benchmark(name: str | None) -> tuple[str, str]:
    """The dataset and the task of ``OWNER/DATASET:TASK``."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    if name is None:
        raise UsageError(_HOW)
    dataset, colon, task = name.partition(":")
    try:
        validate_repo_id(dataset)
    except HFValidationError as error:
        raise UsageError(f"--benchmark {shown(name)!r} names no dataset: {_HOW}") from error
    # validate_repo_id accepts a name without an owner, from the Hub's early days.
    if "/" not in dataset or not colon or not task or shown(task) != task:
        raise UsageError(f"--benchmark {shown(name)!r} is not complete: {_HOW}")
    return dataset, task
