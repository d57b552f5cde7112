"""object-detection: find the objects in an image, each with its label and box.

Scored as COCO is, by pycocotools (Lin et al., 2014): mean average precision over IoU 0.50 to 0.95.
A model has its own labels; labels missing from the dataset do not count, as in COCO's evaluation.
``labels`` in the study file maps the dataset's labels to the model's.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from permille.errors import ModelError
from permille.records.answers import Quality
from permille.tasks.labelling import check_words, meaning_of
from permille.tasks.picturing import media_counts, picture
from permille.tasks.prompting import check_installed
from permille.workload.outputs import Output
from permille.workload.protocols import Kind, Task
from permille.workload.requests import Picture
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec


class ObjectDetection:
    """The task, as a plug-in."""

    name = "object-detection"
    inputs: tuple[str, ...] = ("image",)
    reference: str | None = "objects"
    kinds: Mapping[str, Kind] = {"image": "image", "objects": "objects"}

    def check(self, model: ModelSpec, dataset: Dataset) -> None:
        """Check that the scorer is installed, and each label has its own word.

        Raises:
            ModelError: one of these does not hold.
        """
        check_words(model)
        check_installed(self.name, ("pycocotools",))

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Picture:
        """The encoded image."""
        return picture(sample)

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """Mean average precision, with that at IoU 0.50 in ``others``; None if no image has an
        object.

        Raises:
            ModelError: none of the model's labels is one of the dataset's.
        """
        # Reversed, so that of a sample's answers the first remains.
        first = {s.id: (o, s) for o, s in reversed(list(zip(outputs, samples, strict=True)))}
        pairs = [first[i] for i in dict.fromkeys(s.id for s in samples)]
        truths = [list(sample.reference) for _, sample in pairs]
        detected = [_named(output, model) for output, _ in pairs]
        labels = sorted({thing["label"] for things in truths for thing in things})
        if not labels:
            return None
        answered = {thing["label"] for things in detected for thing in things}
        if answered and not answered & set(labels):
            raise ModelError(
                f"model {model.id!r} finds {', '.join(sorted(answered)[:10])}, but the dataset's"
                f" objects are {', '.join(labels[:10])}; say which is which:"
                f' labels = {{ "{labels[0]}" = "{min(answered)}", … }}'
            )
        # No standard error: average precision ranks the boxes of all images together, so that it is
        # no mean over the images.
        at_all, at_50 = mean_average_precision(truths, detected)
        return Quality(metric="map", value=at_all, n=len(pairs), others={"map_50": at_50})

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """Images and their pixels, as in the files."""
        return media_counts(outputs)


Things = Sequence[Mapping[str, Any]]


def mean_average_precision(
    truths: Sequence[Things], detected: Sequence[Things]
) -> tuple[float, float]:
    """COCO's AP, over IoU 0.50 to 0.95 and at 0.50, of objects by image: ``label`` and ``bbox``
    ([x, y, width, height]), detected ones also with a ``score``.

    Raises:
        ValueError: no image has an object.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    names = sorted({thing["label"] for things in truths for thing in things})
    if not names:
        raise ValueError("no object in any image")
    number = {name: i for i, name in enumerate(names, 1)}
    annotations = [
        _annotation(thing, image, number) | {"area": _area(thing), "iscrowd": 0}
        for image, things in enumerate(truths, 1)
        for thing in things
    ]
    detections = [
        _annotation(thing, image, number) | {"score": float(thing["score"])}
        for image, things in enumerate(detected, 1)
        for thing in things
        if thing["label"] in number
    ]
    # pycocotools' loadRes() fails on an empty list.
    if not detections:
        return 0.0, 0.0
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(1, len(truths) + 1)],
            "categories": [{"id": i, "name": name} for name, i in number.items()],
            "annotations": [a | {"id": i} for i, a in enumerate(annotations, 1)],
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # COCOeval.summarize() puts AP over IoU 0.50 to 0.95 first, and AP at 0.50 second.
    return float(evaluation.stats[0]), float(evaluation.stats[1])


def _annotation(thing: Mapping[str, Any], image: int, number: Mapping[str, int]) -> dict[str, Any]:
    return {
        "image_id": image,
        "category_id": number[thing["label"]],
        "bbox": [float(value) for value in thing["bbox"]],
    }


def _area(thing: Mapping[str, Any]) -> float:
    return float(thing["bbox"][2]) * float(thing["bbox"][3])


def _named(output: Output, model: ModelSpec) -> list[dict[str, Any]]:
    meaning = meaning_of(model)
    if not isinstance(output.data, list | tuple):
        raise ModelError(f"model {model.id!r} did not answer with a list of objects")
    return [dict(thing) | {"label": meaning.get(thing["label"], thing["label"])}
            for thing in output.data]  # fmt: skip


task: Task = ObjectDetection()
