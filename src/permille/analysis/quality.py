"""The uncertainty of a quality, and tests of whether one model's is better than another's.

A proportion of correct answers has Wilson's interval (1927): 4 of 4 gives [51, 100] %, where the
normal approximation gives ±0. Any other score has a percentile bootstrap over its samples (Efron,
1979). Two models that answered the same samples are compared sample by sample: by McNemar's exact
test if answers are right or wrong, by a sign-flip permutation test if they have scores. If single
scores are not stored (imports, older trials), the two are treated as independent, which is less
sensitive; the verdict names the test.

Random numbers have a fixed seed: the same trials always give the same result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from permille import metrics
from permille.metrics import metric_of, unpack
from permille.records import Record
from permille.records.answers import Quality
from permille.records.energy import Estimate

Z95 = 1.959963984540054
LEVEL = 0.05
RESAMPLES = 2_000
FLIPS = 10_000
_EXACT_FLIPS = 12
_AT_ONCE = 2_000_000
"""The most random numbers in memory."""
_SEED = 1_000

Level = Literal["better", "worse", "same", "unknown"]
Test = Literal["mcnemar", "permutation", "independent", "none"]


class Verdict(Record):
    """Whether the quality of one model is better than that of another.

    ``same``: no significant difference at 95 %, which is weak evidence with few samples.
    ``unknown``: one has no quality, or the metrics differ. ``samples``: the number that both
    answered, for a paired test.
    """

    level: Level
    test: Test = "none"
    p: float | None = None
    samples: int | None = None


class ShownQuality(Record):
    """A quality with its 95 % interval, on ``n`` distinct samples. ``standard_error`` is from
    sampling the dataset; ``unreadable`` counts answers that could not be parsed, which ``value``
    already counts as wrong; ``others`` has further metrics."""

    metric: str
    value: float
    low: float | None
    high: float | None
    lower_is_better: bool
    n: int | None
    standard_error: float | None
    unreadable: int
    others: dict[str, float]


def interval(quality: Quality) -> Estimate:
    """The quality with its 95 % interval, if its uncertainty is known."""
    value, n, metric = quality.value, quality.n, metric_of(quality.metric)
    scores = unpack(quality.scores)
    # Also without scores (imports, older trials): Wilson's interval takes only the share and n.
    whole = set(scores) <= {0.0, 1.0}
    if metric.proportion and n and whole and 0 <= value <= 1:
        return wilson(value, n)
    if len(scores) > 1 and min(scores) < max(scores):
        low, high = _bootstrap(tuple(scores))
    elif scores and metric.most == 1.0 and 0 <= value <= 1:
        # Samples that all score alike say nothing of the spread. Of scores between 0 and 1 none
        # spread further than those that are right or wrong.
        return wilson(value, len(scores))
    elif not scores and quality.standard_error:
        low, high = value - Z95 * quality.standard_error, value + Z95 * quality.standard_error
    else:
        return Estimate(value=value, low=None, high=None)
    most = math.inf if metric.most is None else metric.most
    return Estimate(
        value=value,
        # The percentiles of resampled means need not include the value itself.
        low=min(value, max(low, metric.least)),
        high=max(value, min(high, most)),
    )


# A front compares the quality of each model with that of several others.
@lru_cache(maxsize=4096)
def wilson(share: float, n: int, z: float = Z95) -> Estimate:
    """Wilson's interval of a share of ``n``.

    Raises:
        ValueError: n < 1, or a share outside 0 to 1.
    """
    if n < 1 or not 0 <= share <= 1:
        raise ValueError(f"a share of 0 to 1 of 1 or more, not {share:g} of {n}")
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Estimate(
        value=share,
        # At 0 and 1 exactly: by the formula, rounding would leave the ends slightly off.
        low=0.0 if share == 0 else max(0.0, min(share, centre - half)),
        high=1.0 if share == 1 else min(1.0, max(share, centre + half)),
    )


def over_trials_and_requests(over: Estimate, alone: Estimate) -> Estimate:
    """A share with its interval over the trials, but no narrower than that of so many independent
    requests ``alone`` (Wilson's): trials that all have 100 % agree without knowing, and requests
    that fail in bursts are not independent. Without an interval over the trials, there is none."""
    if over.low is None or over.high is None:
        return over
    assert alone.low is not None
    assert alone.high is not None
    return Estimate(
        value=over.value,
        low=max(0.0, min(over.low, alone.low)),
        high=min(1.0, max(over.high, alone.high)),
    )


@lru_cache(maxsize=4096)
def _bootstrap(scores: tuple[float, ...]) -> tuple[float, float]:
    """The 2.5 and 97.5 % quantiles of the mean of resampled scores."""
    import numpy as np

    values = np.asarray(scores)
    random = np.random.default_rng(_SEED)
    n, means = len(values), []
    for start in range(0, RESAMPLES, step := max(1, _AT_ONCE // n)):
        drawn = random.integers(0, n, size=(min(step, RESAMPLES - start), n), dtype=np.int32)
        means.append(values[drawn].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def compared(a: Quality | None, b: Quality | None) -> Verdict:
    """Whether ``a`` is better or worse than ``b``, or not significantly different."""
    if a is None or b is None or a.metric != b.metric:
        return Verdict(level="unknown")
    pairs = _pairs(a, b)
    if pairs is None:
        return _independent(a, b)
    ours, theirs = pairs
    if set(ours) | set(theirs) <= {0.0, 1.0}:
        test: Test = "mcnemar"
        p = mcnemar(
            sum(x > y for x, y in zip(ours, theirs, strict=True)),
            sum(x < y for x, y in zip(ours, theirs, strict=True)),
        )
    else:
        test, p = "permutation", _flipped(tuple(x - y for x, y in zip(ours, theirs, strict=True)))
    return Verdict(level=_level(a, b, p < LEVEL), test=test, p=p, samples=len(ours))


def _pairs(a: Quality, b: Quality) -> tuple[list[float], list[float]] | None:
    """The paired scores of the same samples; None if they are not known to be the same."""
    if not a.samples or a.samples != b.samples:
        return None
    ours, theirs = unpack(a.scores), unpack(b.scores)
    return (ours, theirs) if ours and len(ours) == len(theirs) else None


def _level(a: Quality, b: Quality, apart: bool) -> Level:
    ours, theirs = (metrics.goodness(q.metric, q.value) for q in (a, b))
    if not apart or ours == theirs:
        return "same"
    return "better" if ours > theirs else "worse"


def ranked(a: Quality, b: Quality) -> Level:
    """Like :func:`compared`, but by the values where an error is not known: ``unknown`` only means
    that the metrics differ."""
    level = compared(a, b).level
    # Imported scores have no error; calling all of them unknown would leave them without an order.
    return _level(a, b, apart=True) if level == "unknown" and a.metric == b.metric else level


@lru_cache(maxsize=4096)
def mcnemar(first_alone: int, second_alone: int) -> float:
    """The exact two-sided p of McNemar's test (1947), from the numbers of samples that only one
    of the two models answered correctly."""
    n, least = first_alone + second_alone, min(first_alone, second_alone)
    # Each binomial coefficient from the one before, which divides exactly: with math.comb for each,
    # two models that differ in 20,000 samples, the most with scores, took three minutes.
    tail = coefficient = 1
    for k in range(least):
        coefficient = coefficient * (n - k) // (k + 1)
        tail += coefficient
    # Integers up to the division: from 1,024 on, 2**n is no float.
    return min(1.0, 2 * tail / (1 << n))


@lru_cache(maxsize=4096)
def _flipped(differences: tuple[float, ...]) -> float:
    """The two-sided p of the mean of paired differences, by sign flips: all of them if there
    are few, otherwise :data:`FLIPS` random ones (Phipson and Smyth, 2010)."""
    import numpy as np

    values = np.asarray([d for d in differences if d])
    n = len(values)
    if not n:
        return 1.0
    # A pattern that only rounding keeps below the observed sum has reached it.
    reached = abs(values.sum()) * (1 - 1e-9)
    if n <= _EXACT_FLIPS:
        flips = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return float((abs((1 - 2 * flips) @ values) >= reached).mean())
    random = np.random.default_rng(_SEED)
    hits = 0
    for start in range(0, FLIPS, step := max(1, _AT_ONCE // n)):
        signs = random.integers(0, 2, size=(min(step, FLIPS - start), n), dtype=np.int8)
        hits += int((abs((1.0 - 2.0 * signs) @ values) >= reached).sum())
    # The observed pattern is one of them: a p of 0 cannot be (Phipson and Smyth).
    return (1 + hits) / (1 + FLIPS)


def _independent(a: Quality, b: Quality) -> Verdict:
    """Compare as independent samples, by Newcombe's (1998, method 10) interval of the difference,
    from the two intervals. Without an interval, only equal values give a verdict."""
    ours, theirs = interval(a), interval(b)
    ends = (ours.low, ours.high, theirs.low, theirs.high)
    if None in ends:
        return Verdict(level="same" if a.value == b.value else "unknown")
    low_a, high_a, low_b, high_b = (end for end in ends if end is not None)
    difference = a.value - b.value
    below = math.hypot(a.value - low_a, high_b - b.value)
    above = math.hypot(high_a - a.value, b.value - low_b)
    apart = difference - below > 0 or difference + above < 0
    return Verdict(level=_level(a, b, apart), test="independent")


def nothing_read(quality: Quality | None) -> bool:
    """Whether none of the answers could be read: such a model never wins, however little energy it
    needs."""
    return quality is not None and bool(quality.n) and quality.unreadable >= (quality.n or 0)


def quality_text(quality: Quality) -> str:
    """``accuracy 93.2 [90.1, 95.4] %``."""
    bounded = interval(quality)
    words = metrics.interval_text(quality.metric, quality.value, bounded.low, bounded.high)
    return f"{quality.metric} {words}"


def verdict_text(a: Quality | None, b: Quality | None) -> str:
    """``for the same accuracy (…)``, ``for a higher …``: a's quality compared with b's."""
    verdict = compared(a, b)
    if a is None or b is None or a.metric != b.metric:
        return "(quality unknown)"
    values = " against ".join(
        metrics.interval_text(q.metric, q.value, (i := interval(q)).low, i.high) for q in (a, b)
    )
    if verdict.level == "unknown":
        return f"({a.metric} {values}; the error is unknown, so neither is called better)"
    more = "higher" if a.value > b.value else "lower"
    same = f"the same {a.metric}, within error"
    level = same if verdict.level == "same" else f"a {more} {a.metric}"
    return f"for {level} ({values}; {_test_text(verdict)})"


def _test_text(verdict: Verdict) -> str:
    if verdict.test == "independent":
        return "the single scores are not stored: compared as independent"
    if verdict.test == "none" or verdict.p is None:
        return "equal"
    name = "exact McNemar" if verdict.test == "mcnemar" else "paired permutation"
    return f"{verdict.samples} shared samples, {name} p = {verdict.p:.2g}"


def shown_quality(quality: Quality | None) -> ShownQuality | None:
    """A quality in printed form, with its interval."""
    if quality is None:
        return None
    sure = interval(quality)
    return ShownQuality(
        metric=quality.metric,
        value=quality.value,
        low=sure.low,
        high=sure.high,
        lower_is_better=metric_of(quality.metric).lower_is_better,
        n=quality.n,
        standard_error=quality.standard_error,
        unreadable=quality.unreadable,
        others=quality.others,
    )


def over_trials(qualities: Sequence[Quality]) -> Quality | None:
    """The quality of a cell from its trials, which answered the same samples: the mean value, and
    the mean score of each sample. More trials are not more samples, so ``n`` does not change."""
    if not qualities:
        return None
    first = qualities[0]
    scores = [unpack(q.scores) for q in qualities if q.samples == first.samples]
    together = b""
    if all(scores) and len(scores) == len(qualities) and len({len(s) for s in scores}) == 1:
        columns = zip(*scores, strict=True)
        together = metrics.pack([math.fsum(column) / len(scores) for column in columns])
    return Quality(
        metric=first.metric,
        value=math.fsum(q.value for q in qualities) / len(qualities),
        n=first.n,
        standard_error=first.standard_error,
        # The fewest: a model counts as unreadable (nothing_read) if it was so in every trial.
        unreadable=min(q.unreadable for q in qualities),
        others=first.others,
        scores=together,
        samples=first.samples if together else "",
    )
