"""Generated datasets with inputs as long as those of the study's datasets. They need no network and
no files except noise images in the cache."""

from __future__ import annotations

import io
from typing import Any

from permille.architectures.lengths import InputLengths, input_lengths
from permille.architectures.words import LABELS, word
from permille.datasets import media
from permille.datasets.rows import digest
from permille.workload.protocols import Task
from permille.workload.samples import Dataset, Sample

MOST = {"text": 50, "image": 8}
"""The number of distinct samples; more inferences are further passes over them."""

_ID = "stand-in-"


def stand_in(dataset: str, task: Task, inferences: int) -> Dataset | None:
    """Samples with the mean length of a dataset's; None if it is not one of the study's.

    Their number divides ``inferences``, so that whole passes make exactly that many.
    """
    lengths = input_lengths(dataset)
    if lengths is None:
        return None
    most = MOST["image" if "image" in task.inputs else "text"]
    count = max(n for n in range(1, most + 1) if inferences % n == 0)
    samples = tuple(_sample(number, task, lengths) for number in range(count))
    labelled = task.reference is not None and task.kinds[task.reference] == "label"
    return Dataset(
        name=dataset,
        samples=samples,
        digest=digest(samples),
        labels=LABELS[:2] if labelled else (),
    )


def is_stand_in(dataset: Dataset) -> bool:
    """Whether a dataset is generated."""
    return bool(dataset.samples) and dataset.samples[0].id.startswith(_ID)


def _sample(number: int, task: Task, lengths: InputLengths) -> Sample:
    inputs = {name: _input(name, task.kinds[name], number, lengths) for name in task.inputs}
    return Sample(id=f"{_ID}{number}", inputs=inputs, reference=_reference(task, inputs, number))


def _input(name: str, kind: str, number: int, lengths: InputLengths) -> Any:
    if kind == "image":
        return media.keep(_noise(number, lengths.pixels or (640, 480)), "image")
    count = lengths.question_tokens if name == "question" else lengths.tokens
    # Each sample has its own words: a prime step makes them differ within and between samples.
    words = [word(number * 7_919 + place * 31 + len(name)) for place in range(count or 1)]
    return words if kind == "words" else " ".join(words)


def _reference(task: Task, inputs: dict[str, Any], number: int) -> Any:
    """A value of the right kind; a replica's answers are not scored."""
    if task.reference is None:
        return None
    kind = task.kinds[task.reference]
    if kind == "label":
        return LABELS[number % 2]
    if kind == "tags":
        return ["O"] * len(next(iter(inputs.values())))
    return [] if kind in ("texts", "objects") else word(number)


def _noise(number: int, size: tuple[int, int]) -> bytes:
    """A JPEG of coarse noise: like a real image, neither flat nor without structure."""
    import numpy as np
    from PIL import Image

    width, height = size
    coarse = np.random.default_rng(number).integers(
        0, 256, (max(1, height // 16), max(1, width // 16), 3), dtype=np.uint8
    )
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
