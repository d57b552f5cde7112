"""text-classification: assign one of the dataset's labels to a text.

A task-specific model gets the text. A general-purpose model gets its prompt with ``{text}``
replaced by the text, and chooses the label with the highest probability as the next words; nothing
is generated, and no free text has to be parsed.

If a model's words for the labels differ from the dataset's, the study file maps them:
``labels = { positive = "POS", negative = "NEG" }``, with the dataset's label first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from permille.errors import ModelError
from permille.records.answers import Quality
from permille.tasks.labelling import check_words, label_quality, listed, words_of
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
        """Check that the prompt and the labels of ``model`` fit ``dataset``.

        Raises:
            ModelError: no ``{text}`` in the prompt, labels that are not the dataset's, two
                labels with one word, or fewer than two labels.
        """
        # With one label, every model is always right.
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
        check_words(model)
        if model.category == "general-purpose" and PLACEHOLDER not in (model.prompt or ""):
            raise ModelError(
                f"model {model.id!r} is general-purpose: it needs a prompt with {PLACEHOLDER} in "
                f'it, such as prompt = "Review: {PLACEHOLDER}\\nSentiment:"'
            )

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Text | Choice:
        """Only the text, or the prompt filled in with the text, and the labels' words."""
        text: str = sample.inputs["text"]
        if model.category == "task-specific":
            return Text(text=text)
        # Not str.format: other braces in a prompt or a text are ordinary text.
        prompt = (model.prompt or "").replace(PLACEHOLDER, text)
        words = words_of(model)
        return Choice(prompt=prompt, choices=tuple(words.get(x, x) for x in dataset.labels))

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """Accuracy, with its standard error; macro-F1 in ``others``. None without samples.

        An answer without a label is wrong and counted as unreadable. A sample that was used
        more than once counts once, by its first answer.

        Raises:
            ModelError: the model's labels are not the dataset's, so that its accuracy would be 0
                only because of their names.
        """
        return label_quality(outputs, samples, model)

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """``tokens_in`` and ``tokens_out`` over all outputs, if all are known."""
        return token_counts(outputs)


task: Task = TextClassification()
