"""Lengths of the study's inputs and answers, in tokens. Pure."""

from __future__ import annotations

import csv
import io
import tomllib
from functools import cache
from importlib import resources
from typing import Any

from permille.records import Record


class InputLengths(Record):
    """One input of a dataset: ``tokens`` of its text (or of its context, in addition to
    ``question_tokens``), or ``pixels`` (width, height). ``published``: from the study, not
    assumed."""

    tokens: int | None = None
    question_tokens: int | None = None
    pixels: tuple[int, int] | None = None
    published: bool = False


@cache
def _tree() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("lengths.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def datasets() -> list[str]:
    """The study's datasets, by their names in its tables."""
    return list(_tree()["datasets"])


def input_lengths(dataset: str) -> InputLengths | None:
    """The lengths of a dataset's inputs; None if it is not one of the study's."""
    entry = _tree()["datasets"].get(dataset)
    if entry is None:
        return None
    return InputLengths(
        tokens=_tokens(entry.get("words")),
        question_tokens=_tokens(entry.get("question_words")),
        pixels=tuple(entry["pixels"]) if "pixels" in entry else None,
        published=entry["published"],
    )


def published_answer_tokens(task: str, dataset: str, model: str) -> int | None:
    """Tokens of a generated answer, from the published mean of its words; None: not published.

    T5 models end their answers with an additional token.
    """
    words = _published_answers().get((task, dataset, model))
    if words is None:
        return None
    end = 1 if "t5" in model else 0
    return max(1, round(words * float(_tree()["tokens_per_word"]))) + end


def limit() -> int:
    """The study's limit of generated tokens, if it published no lengths."""
    return int(_tree()["answer_tokens"])


def _tokens(words: float | None) -> int | None:
    return None if words is None else max(1, round(words * float(_tree()["tokens_per_word"])))


@cache
def _published_answers() -> dict[tuple[str, str, str], float]:
    """The mean number of words of an answer by (task, dataset, model), from the shipped figures."""
    table = resources.files("permille").joinpath("data/power_hungry_2023.csv")
    rows = csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"), newline=""))
    return {
        (row["task"], row["dataset"], row["model"]): float(row["output_length"])
        for row in rows
        if row["output_length"]
    }
