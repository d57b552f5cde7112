"""VADER's lexicon as a classifier of the quick start (backend ``python``)."""

from __future__ import annotations

from collections.abc import Callable

from permille.errors import ModelError

THRESHOLD = 0.2
"""A compound score of at least this is positive. Of the multiples of 0.1 from -0.5 to 0.5, it has
the best accuracy on the 4,000 training sentences of vader-movie-reviews (66.85 %). VADER's authors
use a third class between -0.05 and 0.05, which this dataset does not have."""


def load() -> Callable[[str], str]:
    """The classifier, from a text to ``positive`` or ``negative``.

    Raises:
        ModelError: VADER's library is not installed.
    """
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ModuleNotFoundError as error:
        raise ModelError(
            "VADER needs vaderSentiment: pip install 'permille[quickstart]'"
        ) from error

    score = SentimentIntensityAnalyzer().polarity_scores

    def classify(text: str) -> str:
        return "positive" if score(text)["compound"] >= THRESHOLD else "negative"

    return classify
