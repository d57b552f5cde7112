"""The contents of the header of a weights file, for any format."""

from __future__ import annotations

from collections.abc import Iterable

from permille.records import Record


class UnreadableWeightsError(ValueError):
    """A file is not of the kind that its name indicates, or is damaged."""


class Tensor(Record):
    """A tensor's name and number of elements."""

    name: str
    numbers: int


MOST_NUMBERS = 10**16
"""The most numbers in a tensor or model: ten thousand times the largest existing one."""


def tensor(name: object, shape: Iterable[object]) -> Tensor:
    """A tensor of that shape.

    Raises:
        ValueError: the shape is invalid: not whole numbers, or larger than any model.
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
    """Facts from a weights file. ``tensors`` is None if its numbers are packed and cannot be
    counted; ``experts`` and ``experts_used`` describe a mixture of experts."""

    tensors: tuple[Tensor, ...] | None
    architecture: str | None = None
    experts: int | None = None
    experts_used: int | None = None
