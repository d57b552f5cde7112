"""text-classification: which of the dataset's labels a text has.

A task-specific model is given the text. A general-purpose model is given its prompt with the
text in the place of ``{text}``, and chooses among the labels by their probability as the next
words; nothing is generated and nothing has to be read out of free text.

A model whose words for the labels differ from the dataset's says so in the study file:
``labels = { positive = "POS", negative = "NEG" }``, the dataset's label first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from permille.errors import ModelError
from permille.records import Quality
from permille.tasks.labelling import label_quality, listed, words_of
from permille.tasks.prompting import token_counts
from permille.workload.outputs import Output
from permille.workload.protocols import Kind, Task
from permille.workload.requests import Choice, Text
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec

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
        words = words_of(model)
        if words and set(words) != set(dataset.labels):
            raise ModelError(
                f"model {model.id!r}: labels maps {listed(words)}, but dataset "
                f"{dataset.name!r} has {listed(dataset.labels)}; map each of its labels"
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
        words = words_of(model)
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
        return label_quality(outputs, samples, model)

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """``tokens_in`` and ``tokens_out`` over all outputs, where every one was counted."""
        return token_counts(outputs)


task: Task = TextClassification()
