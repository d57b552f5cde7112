"""Shared by the tasks whose input is an image or a recording. One file is one inference; it is read
before the measured span and decoded within it."""

from __future__ import annotations

from collections.abc import Sequence

from permille.datasets import media
from permille.workload.outputs import Output
from permille.workload.requests import Picture, Sound
from permille.workload.samples import Sample

_MEDIA_COUNTS = ("images", "pixels", "audio_seconds")


def picture(sample: Sample, max_new_tokens: int | None = None) -> Picture:
    """The encoded image of a sample, and the limit of tokens to generate.

    Raises:
        DatasetError: its file is gone, or has changed.
    """
    return Picture(content=media.read(sample.inputs["image"]), max_new_tokens=max_new_tokens)


def sound(sample: Sample, max_new_tokens: int) -> Sound:
    """The encoded recording of a sample, and the limit of tokens to generate.

    Raises:
        DatasetError: its file is gone, or has changed.
    """
    return Sound(content=media.read(sample.inputs["audio"]), max_new_tokens=max_new_tokens)


def media_counts(outputs: Sequence[Output]) -> dict[str, float]:
    """Sums of ``images``, ``pixels`` and ``audio_seconds``, if every output has them."""
    sums = {}
    for name in _MEDIA_COUNTS:
        values = [output.counted.get(name) for output in outputs]
        known = [value for value in values if value is not None]
        if known and len(known) == len(values):
            sums[name] = float(sum(known))
    return sums
