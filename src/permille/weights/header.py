"""What the header of a weights file holds, whatever the format."""

from __future__ import annotations

from collections.abc import Iterable

from permille.records import Record


class UnreadableWeightsError(ValueError):
    """A file is not what its name says, or is damaged. In words."""


class Tensor(Record):
    """A tensor by its name and how many numbers it holds."""

    name: str
    numbers: int


MOST_NUMBERS = 10**16
"""In one tensor, or in all of a model: ten thousand times the largest that there is."""


def tensor(name: object, shape: Iterable[object]) -> Tensor:
    """A tensor of that shape.

    Raises:
        ValueError: the shape is none: not of whole numbers, or beyond what a model can have.
    """
    numbers = 1
    for length in shape:
        if not isinstance(length, int) or isinstance(length, bool) or length < 0:
            raise ValueError(f"a tensor of shape {str(length)[:50]}")
        numbers *= length
        if numbers > MOST_NUMBERS:
            raise ValueError(f"a tensor of more than {MOST_NUMBERS:g} numbers")
    return Tensor(name=str(name), numbers=numbers)


class Header(Record):
    """What a weights file says. ``tensors`` is None where the numbers in it are packed, so that
    they cannot be counted; ``experts`` and ``experts_used`` are of a mixture of experts."""

    tensors: tuple[Tensor, ...] | None
    architecture: str | None = None
    experts: int | None = None
    experts_used: int | None = None
