"""image-to-text: write a caption for an image.

Scored by ROUGE-L (Lin, 2004) against the best-matching human caption. CIDEr and SPICE, which are
common for captions, need a Java runtime and are not available.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from permille.records.answers import Quality
from permille.tasks.generating import Generating, answered, mean_quality
from permille.tasks.picturing import media_counts, picture
from permille.tasks.prompting import limit
from permille.workload.outputs import Output
from permille.workload.protocols import Kind, Task
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec


class ImageToText(Generating):
    """The task, as a plug-in."""

    name = "image-to-text"
    inputs: tuple[str, ...] = ("image",)
    reference: str | None = "captions"
    kinds: Mapping[str, Kind] = {"image": "image", "captions": "texts"}
    tokens = 20
    libraries = ("rouge_score",)
    needs_prompt = False

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Any:
        """The encoded image."""
        return picture(sample, limit(model, self.tokens))

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """ROUGE-L, 0 to 1: the mean over the images of the best over their captions."""
        from rouge_score.rouge_scorer import RougeScorer

        pairs, blank = answered(outputs, samples)
        scorer = RougeScorer(["rougeL"], use_stemmer=True)
        # Any of the captions that people wrote is as right as the others.
        best = [
            max((scorer.score(c, answer)["rougeL"].fmeasure for c in captions), default=0.0)
            for answer, captions in pairs
        ]
        return mean_quality("rougeL", {"rougeL": best}, samples, unreadable=blank)

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """Images, their pixels, and the tokens of the captions."""
        return media_counts(outputs) | super().counts(outputs)


task: Task = ImageToText()
