"""Sweeps: a setting of a model that is a list stands for one model for each of its values. Pure."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from permille.errors import StudyError

MOST_MODELS = 1000
"""The most models that one table may stand for."""


def swept(
    own: Mapping[str, Any], at: str, *, whole: Collection[str] = ()
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The label and settings of each combination of values; one with an empty label if no setting
    is a list. ``whole``: settings whose own value is a list, which is not a sweep.

    Raises:
        StudyError: a list is empty, repeats a value or has something else than single values, or
            there are too many combinations.
    """
    lists = {k: v for k, v in own.items() if isinstance(v, list) and k not in whole}
    for key, values in lists.items():
        if not values or not all(isinstance(v, bool | int | float | str) for v in values):
            raise StudyError(f"{at} {key}: a sweep is a list of numbers, texts or booleans")
        # Compared as text: 1, 1.0 and true are equal in Python, but are different settings.
        if len({_text(value) for value in values}) < len(values):
            raise StudyError(f"{at} {key}: a value occurs twice in the list; keep one")
    # Before any is made: a few lists multiply to more than memory holds.
    count = math.prod(len(values) for values in lists.values())
    if count > MOST_MODELS:
        raise StudyError(f"{at}: its lists make {count:,} models; at most {MOST_MODELS:,}")
    for chosen in itertools.product(*lists.values()):
        values_by_key = dict(zip(lists, chosen, strict=True))
        label = ", ".join(label_of(key, value) for key, value in values_by_key.items())
        yield label, {**own, **values_by_key}


def label_of(key: str, value: object) -> str:
    """What the id of a model of a sweep has for one of its lists: ``concurrency = 4``."""
    return f"{key} = {_text(value)}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
