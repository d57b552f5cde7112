"""feature-extraction: a text becomes a vector, its embedding.

No quality: whether embeddings are good shows in what they are used for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from permille.backends import ModelSpec, Output, Text
from permille.datasets import Dataset, Sample
from permille.errors import ModelError
from permille.records import Quality
from permille.tasks import Kind, Task
from permille.tasks.prompting import token_counts


class FeatureExtraction:
    """The task, as a plug-in."""

    name = "feature-extraction"
    inputs: tuple[str, ...] = ("text",)
    reference: str | None = None
    kinds: Mapping[str, Kind] = {"text": "text"}

    def check(self, model: ModelSpec, dataset: Dataset) -> None:
        """Nothing has to fit."""

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Text:
        """The text."""
        return Text(text=sample.inputs["text"])

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """None; but vectors that are none, or not all as long, are no embeddings.

        Raises:
            ModelError: they are not.
        """
        lengths = {len(o.data) if isinstance(o.data, list) else 0 for o in outputs}
        if len(lengths) > 1 or 0 in lengths:
            raise ModelError(
                f"model {model.id!r} answers vectors of {sorted(lengths)} numbers, "
                "not embeddings of one length"
            )
        return None

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """Tokens in, where every text's were counted."""
        return token_counts(outputs)


task: Task = FeatureExtraction()
