"""Shared by the tasks whose answer is a generated text; each is a separate module.

The request is the prompt with ``{name}`` replaced by the sample's inputs; a task-specific model
without a prompt gets the single input unchanged. At most ``max_new_tokens`` of the model's settings
are generated, or the task's default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from permille.metrics import scored
from permille.records.answers import Quality
from permille.tasks.prompting import check_installed, check_prompt, fill, limit, token_counts
from permille.workload.outputs import Output
from permille.workload.protocols import Kind
from permille.workload.requests import Generate
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec


class Generating:
    """Base of these tasks. ``tokens``: the default limit of generated tokens. ``libraries``:
    modules that score the answers. ``example``: a prompt for the message that one is missing."""

    name: str
    inputs: tuple[str, ...] = ("text",)
    reference: str | None = None
    kinds: Mapping[str, Kind] = {"text": "text"}
    tokens: int = 64
    libraries: tuple[str, ...] = ()
    # As it is written in a study file, where a line break in quotes is \n.
    example: str = "{text}"
    needs_prompt: bool = True

    def check(self, model: ModelSpec, dataset: Dataset) -> None:
        """Check that the prompt has its placeholders, the limit is valid, and the scorers are
        installed.

        Raises:
            ModelError: one of these does not hold.
        """
        if self.needs_prompt or model.prompt is not None:
            check_prompt(model, self.inputs, self.example)
        limit(model, self.tokens)
        check_installed(self.name, self.libraries)

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Any:
        """The prompt, filled in."""
        return Generate(prompt=self.prompt(sample, model), max_new_tokens=limit(model, self.tokens))

    def prompt(self, sample: Sample, model: ModelSpec) -> str:
        """The model's prompt filled in with the sample, or the sample's first input."""
        if model.prompt is None:
            return str(sample.inputs[self.inputs[0]])
        return fill(model.prompt, {name: sample.inputs[name] for name in self.inputs})

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """None: there is no reference to score against."""
        return None

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """Tokens in and out, if they are known for every answer."""
        return token_counts(outputs)


def answered(
    outputs: Sequence[Output], samples: Sequence[Sample]
) -> tuple[list[tuple[str, Any]], int]:
    """(answer, reference) of each sample's first answer, and the number of answers that were blank
    or missing; these are ``""``, which every metric here counts as wrong."""
    first: dict[str, tuple[str, Any]] = {}
    for output, sample in zip(outputs, samples, strict=True):
        first.setdefault(sample.id, ((output.text or "").strip(), sample.reference))
    pairs = list(first.values())
    return pairs, sum(not answer for answer, _ in pairs)


def distinct(samples: Sequence[Sample]) -> list[str]:
    """The ids of the samples, each once, in the order of :func:`answered`."""
    return list(dict.fromkeys(sample.id for sample in samples))


def mean_quality(
    metric: str,
    scores: Mapping[str, Sequence[float]],
    samples: Sequence[Sample],
    *,
    unreadable: int,
) -> Quality | None:
    """The means of the scores per sample, with the standard error of ``metric``; None without
    samples."""
    values = scores[metric]
    if not values:
        return None
    return scored(
        metric,
        values,
        distinct(samples),
        unreadable=unreadable,
        others={name: fmean(per_sample) for name, per_sample in scores.items() if name != metric},
    )
