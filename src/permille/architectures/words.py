"""The made-up words that replicas are fed: one token each for every stand-in tokenizer."""

from __future__ import annotations

WORDS = 4_000
"""So many made-up words every stand-in knows; the smallest vocabulary of the study is 30,000."""


LABELS = ("positive", "negative", "neutral")
"""Words that classes are called by: one token each, as they are for the study's models."""


def word(number: int) -> str:
    """A made-up word that every stand-in tokenizer reads as one token; ``number`` wraps."""
    return f"w{number % WORDS}"
