"""Distinguish choices: by the next token, or by the words in a text. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from permille.errors import ModelError
from permille.records import Record


class Step(Record):
    """One step of a choice: ``tokens`` are appended to the prompt, and the next token selects the
    choices to continue with."""

    tokens: tuple[int, ...]
    branches: dict[int, tuple[str, ...]]


def next_step(words: Mapping[str, tuple[int, ...]]) -> Step:
    """The step that distinguishes two or more choices: their shared tokens, then the branches.

    Raises:
        ModelError: one choice is a prefix of another, so that no next token distinguishes them.
    """
    shared = 0
    while True:
        short = [choice for choice, tokens in words.items() if len(tokens) <= shared]
        if short:
            raise ModelError(
                f"the label's word {short[0]!r} is a prefix of another's; "
                "give the labels words that differ: labels = { … }"
            )
        branches: dict[int, tuple[str, ...]] = {}
        for choice, tokens in words.items():
            branches[tokens[shared]] = (*branches.get(tokens[shared], ()), choice)
        if len(branches) > 1:
            first = next(iter(words.values()))
            return Step(tokens=first[:shared], branches=branches)
        shared += 1


def named(text: str, choices: Sequence[str]) -> str | None:
    """The one choice that a generated text names, or None.

    It is the one that the text starts with; otherwise the only one among its words. Case and
    surrounding blanks are ignored. Of several matching choices the longest counts.
    """
    answer = text.strip().casefold()
    words = {choice: choice.strip().casefold() for choice in choices}
    # Not \b, which needs a word character on one side: a label may end in a sign, such as "C++".
    first = [c for c, word in words.items() if re.match(rf"{re.escape(word)}(?!\w)", answer)]
    if first:
        return max(first, key=lambda choice: len(words[choice]))
    # Only if it is the only one: "neither good nor bad" names two labels, and means none.
    inside = [c for c, w in words.items() if re.search(rf"(?<!\w){re.escape(w)}(?!\w)", answer)]
    return inside[0] if len(inside) == 1 else None
