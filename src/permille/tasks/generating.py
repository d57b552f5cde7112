"""What the tasks share whose answer is a generated text; each is a module of its own.

The request is the prompt with the sample's inputs in the places of ``{name}``; a task-specific
model without a prompt is given the one input as it is. At most ``max_new_tokens`` of the model's
table are generated, or the task's own number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from permille.metrics import scored
from permille.records import Quality
from permille.tasks.prompting import check_installed, check_prompt, fill, limit, token_counts
from permille.workload.outputs import Output
from permille.workload.protocols import Kind
from permille.workload.requests import Generate
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec


class Generating:
    """Base of these tasks. ``tokens``: generated unless the model says otherwise. ``libraries``:
    modules that score the answers. ``example``: a prompt, for the message that one is missing."""

    name: str
    inputs: tuple[str, ...] = ("text",)
    reference: str | None = None
    kinds: Mapping[str, Kind] = {"text": "text"}
    tokens: int = 64
    libraries: tuple[str, ...] = ()
    example: str = "{text}"
    needs_prompt: bool = True

    def check(self, model: ModelSpec, dataset: Dataset) -> None:
        """Whether the prompt has its places, the limit is one, and the scorers are installed.

        Raises:
            ModelError: one of them is not so.
        """
        if self.needs_prompt or model.prompt is not None:
            check_prompt(model, self.inputs, self.example)
        limit(model, self.tokens)
        check_installed(self.name, self.libraries)

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Any:
        """The prompt, filled in."""
        return Generate(prompt=self.prompt(sample, model), max_new_tokens=limit(model, self.tokens))

    def prompt(self, sample: Sample, model: ModelSpec) -> str:
        """The model's prompt with the sample in it, or the sample's first input."""
        if model.prompt is None:
            return str(sample.inputs[self.inputs[0]])
        return fill(model.prompt, {name: sample.inputs[name] for name in self.inputs})

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """None: there is no reference to score against."""
        return None

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """Tokens in and out, where every answer was counted."""
        return token_counts(outputs)


def answered(
    outputs: Sequence[Output], samples: Sequence[Sample]
) -> tuple[list[tuple[str, Any]], int]:
    """(answer, reference) of each sample's first answer, and how many answers were blank or
    missing; these are ``""``, which every measure here counts as wrong."""
    first: dict[str, tuple[str, Any]] = {}
    for output, sample in zip(outputs, samples, strict=True):
        first.setdefault(sample.id, ((output.text or "").strip(), sample.reference))
    pairs = list(first.values())
    return pairs, sum(not answer for answer, _ in pairs)


def distinct(samples: Sequence[Sample]) -> list[str]:
    """The ids of the samples, each once, in the order in which :func:`answered` has them."""
    return list(dict.fromkeys(sample.id for sample in samples))


def mean_quality(
    metric: str,
    scores: Mapping[str, Sequence[float]],
    samples: Sequence[Sample],
    *,
    unreadable: int,
) -> Quality | None:
    """The means of scores per sample, ``metric``'s with its standard error; None without any."""
    values = scores[metric]
    if not values:
        return None
    return scored(
        metric,
        values,
        distinct(samples),
        unreadable=unreadable,
        others={name: fmean(found) for name, found in scores.items() if name != metric},
    )
