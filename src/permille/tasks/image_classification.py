"""image-classification: assign one of the dataset's labels to an image. Scored by accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from permille.records.answers import Quality
from permille.tasks.labelling import check_words, label_quality
from permille.tasks.picturing import media_counts, picture
from permille.workload.outputs import Output
from permille.workload.protocols import Kind, Task
from permille.workload.requests import Picture
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec


class ImageClassification:
    """The task, as a plug-in."""

    name = "image-classification"
    inputs: tuple[str, ...] = ("image",)
    reference: str | None = "label"
    kinds: Mapping[str, Kind] = {"image": "image", "label": "label"}

    def check(self, model: ModelSpec, dataset: Dataset) -> None:
        """Any model fits: it may know a thousand classes in addition to the dataset's.

        Raises:
            ModelError: the study file gives two labels the same word.
        """
        check_words(model)

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Picture:
        """The encoded image."""
        return picture(sample)

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """Accuracy, with its standard error; macro-F1 in ``others``.

        Raises:
            ModelError: the model's labels are not the dataset's.
        """
        return label_quality(outputs, samples, model)

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """Images and their pixels, as in the files."""
        return media_counts(outputs)


task: Task = ImageClassification()
