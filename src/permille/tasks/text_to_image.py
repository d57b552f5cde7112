"""text-to-image: generate an image from a prompt. One image is one inference.

There is no quality, because scoring an image would need a reference model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from permille.records.answers import Quality
from permille.tasks.picturing import media_counts
from permille.tasks.prompting import token_counts
from permille.workload.outputs import Output
from permille.workload.protocols import Kind, Task
from permille.workload.requests import Draw
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec


class TextToImage:
    """The task, as a plug-in."""

    name = "text-to-image"
    inputs: tuple[str, ...] = ("text",)
    reference: str | None = None
    kinds: Mapping[str, Kind] = {"text": "text"}

    def check(self, model: ModelSpec, dataset: Dataset) -> None:
        """Any model fits any dataset."""

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Draw:
        """The prompt."""
        return Draw(prompt=str(sample.inputs["text"]))

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """None: an image is not scored."""
        return None

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """Images and pixels generated, and the prompts' tokens if they are known for every
        prompt."""
        return media_counts(outputs) | token_counts(outputs)


task: Task = TextToImage()
