"""Generated words as input for replicas: one token each for every stand-in tokenizer."""

from __future__ import annotations

WORDS = 4_000
"""The number of generated words in every stand-in; the smallest vocabulary of the study is
30,000."""


LABELS = ("positive", "negative", "neutral")
"""Names of classes: one token each, as for the study's models."""


def word(number: int) -> str:
    """A generated word that is one token for every stand-in tokenizer; ``number`` wraps around."""
    return f"w{number % WORDS}"
