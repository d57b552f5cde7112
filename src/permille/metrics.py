"""What the tasks score by: which way is better, in what unit, and how a value is printed.

One table, free of heavy imports, that the tasks fill and everything that reads a quality asks.
A metric that is not in it (an importer's, a plug-in's) is better the lower where its name says a
loss or an error, and is printed as the number that it is.

The scores of single samples are packed here too: a trial keeps them, so that two models can be
compared sample by sample.
"""

from __future__ import annotations

import hashlib
import math
import re
import statistics
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from permille.records import Quality, Record

Form = Literal["share", "number"]


class Metric(Record):
    """A metric of quality.

    ``share``: printed in percent, and no lower than 0. ``proportion``: each sample counts as
    right or wrong, so that the value is a number of right ones over all. ``most`` is the largest
    value that there is, ``least`` the smallest.
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
        _loss("bits_per_byte"),
        _loss("fid"),
    )
}  # fmt: skip
_LOWER = re.compile(r"(^|[^a-z])(perplexity|ppl|loss|error|wer|cer|fid|mae|mse|rmse)([^a-z]|$)")


def metric_of(name: str) -> Metric:
    """The metric called ``name``, in any case; one that is not known is guessed by its words."""
    key = name.casefold().strip()
    # "f1 (has answer)" is an f1.
    known = METRICS.get(key) or METRICS.get(key.partition(" (")[0])
    if known is not None:
        return known
    return Metric(
        name=name,
        lower_is_better=_LOWER.search(key.replace("_", " ")) is not None,
        form="number",
        least=float("-inf"),
        most=None,
    )


def goodness(name: str, value: float) -> float:
    """``value`` so that greater is better."""
    return -value if metric_of(name).lower_is_better else value


def in_percent(name: str, value: float) -> bool:
    """Whether a value of this metric is printed in percent: a share of one is. One above 1 is not,
    since some tools write an error rate as 0 to 100 already."""
    return metric_of(name).form == "share" and value <= 1


def value_text(name: str, value: float, digits: int = 1) -> str:
    """``93.2 %`` for a share of one, ``23.4`` for any other metric."""
    if in_percent(name, value):
        return f"{100 * value:.{digits}f} %"
    return f"{value:.4g}"


def interval_text(name: str, value: float, low: float | None, high: float | None) -> str:
    """``93.2 [90.1, 95.4] %``: a value with its 95 % interval, where it has one."""
    if low is None or high is None:
        return value_text(name, value)
    if in_percent(name, value):
        return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}] %"
    return f"{value:.4g} [{low:.4g}, {high:.4g}]"


# --- scores of single samples ----------------------------------------------------------------

MOST_SCORES = 20_000
"""Scores kept with a trial, at most. With more samples the error of two independent means is
small enough for every use of a quality."""


def scored(
    metric: str,
    scores: Sequence[float],
    ids: Iterable[str],
    *,
    value: float | None = None,
    unreadable: int = 0,
    others: Mapping[str, float] | None = None,
) -> Quality:
    """A quality with the scores that it is the mean of, one a sample, in the order of ``ids``.

    Where the metric is of the whole dataset (a BLEU, a word error rate), ``value`` is given and
    the scores are its :func:`pseudo_values`.

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
    """Tukey's (1958) pseudo-values of a metric of a whole dataset, from what it is ``without``
    each sample in turn. Their mean stands for the metric, their spread for its error, so that
    every metric is compared in the same way."""
    n = len(without)
    return [n * value - (n - 1) * other for other in without]


def ratios_without(parts: Sequence[float], wholes: Sequence[float]) -> list[float]:
    """The sum of ``parts`` over that of ``wholes`` without each sample in turn; 0 where nothing
    is left of the whole."""
    part, whole = math.fsum(parts), math.fsum(wholes)
    return [
        (part - p) / (whole - w) if whole - w > 0 else 0.0
        for p, w in zip(parts, wholes, strict=True)
    ]


def pack(scores: Sequence[float]) -> bytes:
    """Scores as they are kept: single precision, compressed. 1,000 answers that are right or
    wrong take about 200 bytes."""
    return zlib.compress(array("f", scores).tobytes(), level=6)


def unpack(packed: bytes) -> list[float]:
    """The scores that :func:`pack` packed; none where these bytes hold anything else, or more
    than a trial keeps: a store is somebody else's file."""
    if not packed:
        return []
    found = array("f")
    opened = zlib.decompressobj()
    try:
        found.frombytes(opened.decompress(packed, MOST_SCORES * found.itemsize + 1))
    except (zlib.error, ValueError):
        return []
    scores = found.tolist()
    good = opened.eof and len(scores) <= MOST_SCORES and all(map(math.isfinite, scores))
    return scores if good else []
