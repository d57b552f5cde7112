"""text-classification: which of the dataset's labels a text has.

A task-specific model is given the text. A general-purpose model is given its prompt with the
text in the place of ``{text}``, and chooses among the labels by their probability as the next
words; nothing is generated and nothing has to be read out of free text.

A model whose words for the labels differ from the dataset's says so in the study file:
``labels = { positive = "POS", negative = "NEG" }``, the dataset's label first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from permille.backends import Choice, ModelSpec, Output, Text
from permille.datasets import Dataset, Sample
from permille.errors import ModelError
from permille.records import Quality
from permille.tasks import Kind, Task
from permille.tasks.prompting import token_counts

PLACEHOLDER = "{text}"


class TextClassification:
    """The task, as a plug-in."""

    name = "text-classification"
    inputs: tuple[str, ...] = ("text",)
    reference: str | None = "label"
    kinds: Mapping[str, Kind] = {"text": "text", "label": "label"}

    def check(self, model: ModelSpec, dataset: Dataset) -> None:
        """Whether the prompt and the labels of ``model`` fit ``dataset``.

        Raises:
            ModelError: no ``{text}`` in the prompt, labels that are not the dataset's, two
                labels with one word, or fewer than two labels.
        """
        if len(dataset.labels) < 2:
            raise ModelError(
                f"dataset {dataset.name!r} has {len(dataset.labels)} distinct labels; "
                f"{self.name} needs two or more"
            )
        words = _words(model)
        if words and set(words) != set(dataset.labels):
            raise ModelError(
                f"model {model.id!r}: labels maps {_list(words)}, but dataset "
                f"{dataset.name!r} has {_list(dataset.labels)}; map each of its labels"
            )
        if len(set(words.values())) < len(words):
            raise ModelError(f"model {model.id!r}: labels gives two labels the same word")
        if model.category == "general-purpose" and PLACEHOLDER not in (model.prompt or ""):
            raise ModelError(
                f"model {model.id!r} is general-purpose: it needs a prompt with {PLACEHOLDER} in "
                f'it, such as prompt = "Review: {PLACEHOLDER}\\nSentiment:"'
            )

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Text | Choice:
        """The text alone, or the prompt with the text in it and the labels' words."""
        text: str = sample.inputs["text"]
        if model.category == "task-specific":
            return Text(text=text)
        # Not str.format: braces in a prompt or a text are text.
        prompt = (model.prompt or "").replace(PLACEHOLDER, text)
        words = _words(model)
        return Choice(prompt=prompt, choices=tuple(words.get(x, x) for x in dataset.labels))

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """Accuracy, with its standard error; macro-F1 beside it. None without samples.

        An answer without a label is wrong and counted as unreadable. A sample that was asked
        more than once counts once, its first answer.

        Raises:
            ModelError: the model answers in other labels than the dataset's, so that its
                accuracy would be 0 for its names alone.
        """
        meaning = {word: label for label, word in _words(model).items()}
        answers: dict[str, tuple[str, str | None]] = {}
        for output, sample in zip(outputs, samples, strict=True):
            raw = output.label
            answer = None if raw is None else meaning.get(raw, raw)
            answers.setdefault(sample.id, (sample.reference, answer))
        if not answers:
            return None
        pairs = list(answers.values())
        _check_names(pairs, model)
        right = sum(truth == answer for truth, answer in pairs)
        n = len(pairs)
        accuracy = right / n
        return Quality(
            metric="accuracy",
            value=accuracy,
            n=n,
            standard_error=math.sqrt(accuracy * (1 - accuracy) / n),
            unreadable=sum(answer is None for _, answer in pairs),
            others={"macro_f1": macro_f1(pairs)},
        )

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """``tokens_in`` and ``tokens_out`` over all outputs, where every one was counted."""
        return token_counts(outputs)


def macro_f1(pairs: Sequence[tuple[str, str | None]]) -> float:
    """The mean over the true labels of 2 TP / (2 TP + FP + FN), of (truth, answer) pairs.

    An answer that is no true label's is a false negative for its truth alone.

    Raises:
        ValueError: there are no pairs.
    """
    labels = {truth for truth, _ in pairs}
    if not labels:
        raise ValueError("no answers to score")
    scores = []
    for label in sorted(labels):
        hits = sum(truth == answer == label for truth, answer in pairs)
        truths = sum(truth == label for truth, _ in pairs)
        answers = sum(answer == label for _, answer in pairs)
        scores.append(2 * hits / (truths + answers))
    return sum(scores) / len(scores)


def _words(model: ModelSpec) -> Mapping[str, str]:
    """The dataset's label -> the model's word for it, where the study file gives them."""
    return model.settings.get("labels") or {}


def _check_names(pairs: Sequence[tuple[str, str | None]], model: ModelSpec) -> None:
    truths = {truth for truth, _ in pairs}
    answers = {answer for _, answer in pairs if answer is not None}
    if answers and not answers & truths and len(truths) > 1:
        raise ModelError(
            f"model {model.id!r} answers {_list(answers)}, but the dataset's labels are "
            f"{_list(truths)}; say which is which: labels = {{ {_example(truths, answers)} }}"
        )


def _example(truths: set[str], answers: set[str]) -> str:
    return f'"{min(truths)}" = "{min(answers)}", …'


def _list(labels: Sequence[str] | set[str] | Mapping[str, str]) -> str:
    shown = sorted(labels)
    return ", ".join(map(repr, shown[:10])) + (", …" if len(shown) > 10 else "")


task: Task = TextClassification()
