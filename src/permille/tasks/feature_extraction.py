"""feature-extraction: compute the embedding of a text.

If the study file names a column of classes (``label = "topic"``), quality is that of retrieval: the
share of texts whose nearest other text by cosine is of the same class (precision at 1). Otherwise
it is None, because the quality of embeddings depends on their use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from permille.errors import ModelError
from permille.metrics import scored
from permille.records.answers import Quality
from permille.tasks.prompting import token_counts
from permille.workload.outputs import Output
from permille.workload.protocols import Kind, Task
from permille.workload.requests import Text
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec


class FeatureExtraction:
    """The task, as a plug-in."""

    name = "feature-extraction"
    inputs: tuple[str, ...] = ("text",)
    reference: str | None = "label"
    optional_reference = True
    kinds: Mapping[str, Kind] = {"text": "text", "label": "label"}

    def check(self, model: ModelSpec, dataset: Dataset) -> None:
        """Any model fits any dataset."""

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Text:
        """The text."""
        return Text(text=sample.inputs["text"])

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """Precision at 1, with its standard error; None without classes.

        Raises:
            ModelError: the answers are not vectors of one length.
        """
        lengths = {len(o.data) if isinstance(o.data, list) else 0 for o in outputs}
        if len(lengths) > 1 or 0 in lengths:
            raise ModelError(
                f"model {model.id!r} answers vectors of {sorted(lengths)} numbers, "
                "not embeddings of one length"
            )
        first: dict[str, tuple[list[float], str | None]] = {}
        for output, sample in zip(outputs, samples, strict=True):
            first.setdefault(sample.id, (output.data, sample.reference))
        if len(first) < 2 or any(label is None for _, label in first.values()):
            return None
        right = _nearest_alike([v for v, _ in first.values()], [str(c) for _, c in first.values()])
        return scored("precision_at_1", [float(r) for r in right], first)

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """Tokens in, if they are known for every text."""
        return token_counts(outputs)


def precision_at_1(vectors: Sequence[Sequence[float]], labels: Sequence[str]) -> float:
    """The share of the vectors (N x D) whose nearest other one by cosine has the same label (N)."""
    right = _nearest_alike(vectors, labels)
    return sum(right) / len(right)


def _nearest_alike(vectors: Sequence[Sequence[float]], labels: Sequence[str]) -> list[bool]:
    """For each vector (N x D), whether its nearest other one by cosine has the same label (N)."""
    import numpy as np

    matrix = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(matrix, axis=1)
    pointing = lengths > 0
    matrix /= np.where(pointing, lengths, 1)[:, None]
    right = []
    # Row by row: the likenesses of 20,000 texts would take 1.6 GB at once.
    for number, vector in enumerate(matrix):
        likeness = matrix @ vector
        likeness[number] = -np.inf
        # A vector of zeros has no direction: it is like no other, and no other is like it. Without
        # this, it would be nearest to the first text, and right whenever that has its class.
        likeness[~pointing] = -np.inf
        nearest = int(likeness.argmax())
        alike = bool(pointing[number] and likeness[nearest] > -np.inf)
        right.append(alike and labels[nearest] == labels[number])
    return right


task: Task = FeatureExtraction()
