"""The tasks' metrics: their direction, unit and format.

This is the only table of metrics, without heavy imports; everything that reads a quality uses it.
For an unknown metric (of an importer or a plug-in), lower is better if its name says so, or
contains a word for a loss or an error, and it is printed as a plain number.

The scores of single samples are packed here too. Trials store them, so that two models can be
compared sample by sample.
"""

from __future__ import annotations

import hashlib
import math
import re
import statistics
import sys
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal

from permille.records import Record
from permille.records.answers import Quality
from permille.units import format_share

Form = Literal["share", "number"]


class Metric(Record):
    """A metric of quality.

    ``share``: printed in percent, and at least 0. ``proportion``: each sample is right or wrong, so
    the value is the proportion of right ones. ``most`` is the largest possible value, ``least`` the
    smallest.
    """

    name: str
    lower_is_better: bool = False
    form: Form = "share"
    proportion: bool = False
    least: float = 0.0
    most: float | None = 1.0


def _proportion(name: str) -> Metric:
    return Metric(name=name, proportion=True)


def _loss(name: str, least: float = 0.0) -> Metric:
    return Metric(name=name, lower_is_better=True, form="number", least=least, most=None)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _proportion("accuracy"),
        _proportion("top1_accuracy"),
        _proportion("top5_accuracy"),
        _proportion("precision_at_1"),
        _proportion("exact_match"),
        # As lm-eval calls its metrics; so are word_perplexity, byte_perplexity and bits_per_byte.
        _proportion("acc"),
        _proportion("acc_norm"),
        *(
            Metric(name=name)
            for name in (
                "macro_f1", "f1", "entity_f1", "precision", "recall", "rouge", "rouge1", "rouge2",
                "rougel", "bleu", "chrf", "map", "map_50",
            )
        ),
        # There can be more word errors than words, so there is no upper end.
        Metric(name="wer", lower_is_better=True, most=None),
        Metric(name="cer", lower_is_better=True, most=None),
        _loss("perplexity", 1.0),
        _loss("pseudo-perplexity", 1.0),
        _loss("word_perplexity", 1.0),
        _loss("byte_perplexity", 1.0),
        _loss("bits_per_byte"),
        _loss("fid"),
    )
}  # fmt: skip
_STATED = {", lower is better)": True, ", higher is better)": False}
"""The end of a name that states the direction itself."""
_LOWER = re.compile(r"(^|[^a-z])(perplexity|ppl|loss|error|wer|cer|fid|mae|mse|rmse)([^a-z]|$)")


# A front asks for the metric of each model several times.
@lru_cache(maxsize=256)
def metric_of(name: str) -> Metric:
    """The metric called ``name``, ignoring case; an unknown one is classified by its words."""
    key = name.casefold().strip()
    # "f1 (has answer)" is an f1
    known = METRICS.get(key) or METRICS.get(key.partition(" (")[0])
    stated = next((lower for end, lower in _STATED.items() if key.endswith(end)), None)
    if known is not None and stated is None:
        return known
    by_words = _LOWER.search(key.replace("_", " ")) is not None
    return Metric(
        name=name,
        lower_is_better=by_words if stated is None else stated,
        form="number",
        least=float("-inf"),
        most=None,
    )


def goodness(name: str, value: float) -> float:
    """``value`` with a sign such that greater is better."""
    return -value if metric_of(name).lower_is_better else value


def in_percent(name: str, value: float) -> bool:
    """Whether a value of this metric is printed in percent: a share up to 1 is. A value above 1 is
    not, because some tools already write an error rate as 0 to 100."""
    return metric_of(name).form == "share" and value <= 1


def value_text(name: str, value: float, digits: int = 1) -> str:
    """``93.2 %`` for a share up to 1, ``23.4`` for any other metric."""
    if in_percent(name, value):
        return format_share(value, digits)
    return f"{value:.4g}"


def interval_text(name: str, value: float, low: float | None, high: float | None) -> str:
    """``93.2 [90.1, 95.4] %``: a value with its 95 % interval, if it has one."""
    if low is None or high is None:
        return value_text(name, value)
    if in_percent(name, value):
        return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}] %"
    return f"{value:.4g} [{low:.4g}, {high:.4g}]"


# --- scores of single samples ----------------------------------------------------------------

MOST_SCORES = 20_000
"""The most scores stored with a trial. With more samples, the error of two independent means is
small enough for any use of a quality."""


def scored(
    metric: str,
    scores: Sequence[float],
    ids: Iterable[str],
    *,
    value: float | None = None,
    unreadable: int = 0,
    others: Mapping[str, float] | None = None,
) -> Quality:
    """A quality with the scores of which it is the mean, one per sample, in the order of ``ids``.

    For a metric of the whole dataset (BLEU, word error rate), ``value`` is given and the scores are
    its :func:`pseudo_values`.

    Raises:
        ValueError: there are no scores.
    """
    if not scores:
        raise ValueError("there are no scores")
    n = len(scores)
    error = statistics.stdev(scores) / math.sqrt(n) if n > 1 else None
    mean = math.fsum(scores) / n
    if metric_of(metric).proportion and set(scores) <= {0.0, 1.0}:
        error = math.sqrt(mean * (1 - mean) / n)
    return Quality(
        metric=metric,
        value=mean if value is None else value,
        n=n,
        standard_error=error,
        unreadable=unreadable,
        others=dict(others or {}),
        scores=pack(scores) if n <= MOST_SCORES else b"",
        samples=hashlib.sha256("\0".join(ids).encode()).hexdigest()[:16],
    )


def pseudo_values(value: float, without: Sequence[float]) -> list[float]:
    """Tukey's (1958) pseudo-values of a metric of a whole dataset, from its values ``without`` each
    sample in turn. Their mean estimates the metric and their spread its error, so that every metric
    is compared in the same way."""
    n = len(without)
    return [n * value - (n - 1) * other for other in without]


def ratios_without(parts: Sequence[float], wholes: Sequence[float]) -> list[float]:
    """The sum of ``parts`` divided by that of ``wholes``, without each sample in turn; 0 if nothing
    is left of the whole."""
    part, whole = math.fsum(parts), math.fsum(wholes)
    return [
        (part - p) / (whole - w) if whole - w > 0 else 0.0
        for p, w in zip(parts, wholes, strict=True)
    ]


def pack(scores: Sequence[float]) -> bytes:
    """Pack scores for storage: single precision, compressed. 1,000 answers that are right or wrong
    take about 200 bytes."""
    return zlib.compress(_portable(array("f", scores)).tobytes(), level=6)


def unpack(packed: bytes) -> list[float]:
    """Unpack scores from :func:`pack`; none if the bytes are invalid or contain too many, because a
    store may come from elsewhere."""
    if not packed:
        return []
    unpacked = array("f")
    opened = zlib.decompressobj()
    try:
        # One byte more than allowed shows that there are too many.
        unpacked.frombytes(opened.decompress(packed, MOST_SCORES * unpacked.itemsize + 1))
    except (zlib.error, ValueError):
        return []
    scores = _portable(unpacked).tolist()
    # A stream that is cut off is decompressed without an error, but has no end.
    good = opened.eof and len(scores) <= MOST_SCORES and all(map(math.isfinite, scores))
    return scores if good else []


def _portable(scores: array[float]) -> array[float]:
    """From the machine's byte order to that of stores, or back."""
    # Stores are copied and merged between machines, and array() has the byte order of its own: a
    # score of 1.0 read in the other order is 4.6e-41, a finite number.
    if sys.byteorder != "little":
        scores.byteswap()
    return scores
