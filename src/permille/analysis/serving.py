"""What a generating model's trials say about tokens and streamed answers. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

from permille.analysis import intervals
from permille.analysis.cell_summary import Times, TokensEach
from permille.records.answers import Latency, TokenSplit
from permille.records.energy import Estimate
from permille.records.trial import Trial


def output_tokens(trial: Trial) -> int | None:
    """The output tokens of a trial's successful inferences; None if they are unknown."""
    # A float: the worker reads the answers of one pass and multiplies by the passes.
    # A task that writes nothing counts 0, and has no energy per token.
    return round(trial.counts.get("tokens_out", 0.0)) or None


def all_tokens(trial: Trial) -> int | None:
    """Input and output tokens; None if one of the two is unknown."""
    tokens_in, tokens_out = trial.counts.get("tokens_in"), output_tokens(trial)
    return None if tokens_in is None or tokens_out is None else round(tokens_in) + tokens_out


def tokens_each(done: Sequence[Trial]) -> TokensEach | None:
    """Tokens of one successful inference; None unless every trial knows some."""
    read, written, reasoned = (
        over_trials(_each(trial, name) for trial in done)
        for name in ("tokens_in", "tokens_out", "tokens_reasoning")
    )
    return TokensEach(input=read, output=written, reasoning=reasoned) if read or written else None


def _each(trial: Trial, name: str) -> float | None:
    query, count = trial.phases.get("query"), trial.counts.get(name)
    return (
        None if count is None or query is None or not query.inferences else count / query.inferences
    )


def inferences_per_s(done: Sequence[Trial]) -> Estimate | None:
    """Successful inferences per second of the query span; None unless every trial counts them."""
    return over_trials(_successful_per_s(trial) for trial in done)


def tokens_per_s(done: Sequence[Trial]) -> Estimate | None:
    """Output tokens per second of the query span; None unless every trial knows them."""
    return over_trials(_rate(trial) for trial in done)


def first_token(done: Sequence[Trial]) -> Times | None:
    """Seconds until the first piece of a streamed answer."""
    return _times(done, attrgetter("first_token_p50", "first_token_p95", "first_token_p99"))


def output_token(done: Sequence[Trial]) -> Times | None:
    """Seconds per output token after the first piece."""
    return _times(done, attrgetter("output_token_p50", "output_token_p95", "output_token_p99"))


def request(done: Sequence[Trial]) -> Times | None:
    """Seconds of a whole answer."""
    return _times(done, attrgetter("p50", "p95", "p99"))


def token_split(done: Sequence[Trial]) -> TokenSplit | None:
    """What input and output tokens cost each, over the trials and with the meters' accuracy. None
    unless every trial timed its requests; a problem or warning of one trial is that of all."""
    each = [trial.tokens for trial in done if trial.tokens is not None]
    if not each or len(each) < len(done):
        return None
    if (problem := _no_split(each)) is not None:
        return TokenSplit(problem=problem)
    low, high = max(one.accuracy_low for one in each), max(one.accuracy_high for one in each)
    return TokenSplit(
        method=each[0].method,
        input_j=_pooled([one.input_j for one in each], low, high),
        output_j=_pooled([one.output_j for one in each], low, high),
        rest_w=_pooled([one.rest_w for one in each], low, high),
        n=sum(one.n for one in each),
        accuracy_low=low,
        accuracy_high=high,
        warning=next((one.warning for one in each if one.warning), None),
    )


def _no_split(each: Sequence[TokenSplit]) -> str | None:
    """Why the trials have no figure together."""
    # Energy until the first token and a coefficient of a regression are not one quantity.
    if len({one.method for one in each if one.problem is None}) > 1:
        return "the trials needed different methods: use more inferences"
    return next((one.problem for one in each if one.problem), None)


def _pooled(each: Sequence[Estimate | None], low: float, high: float) -> Estimate | None:
    """The mean over the trials, with the meters' accuracy. Its interval is that over the trials,
    but no narrower than the trials' own on average: several regressions that all end at 0 agree
    without knowing."""
    known = [one for one in each if one is not None]
    if not known:
        return None
    spread = intervals.mean([one.value for one in known])
    lows = [one.low for one in known if one.low is not None]
    highs = [one.high for one in known if one.high is not None]
    if len(lows) == len(highs) == len(known):
        own_low, own_high = math.fsum(lows) / len(lows), math.fsum(highs) / len(highs)
        spread = Estimate(
            value=spread.value,
            low=own_low if spread.low is None else min(spread.low, own_low),
            high=own_high if spread.high is None else max(spread.high, own_high),
        )
    return intervals.not_negative(intervals.with_systematic(spread, low, high))


def over_trials(values: Iterable[float | None]) -> Estimate | None:
    """The mean with its interval; None unless every trial has the figure, because a mean over some
    of them would not match the energy."""
    known = []
    for value in values:
        if value is None:
            return None
        known.append(value)
    return intervals.not_negative(intervals.mean(known)) if known else None


def _successful_per_s(trial: Trial) -> float | None:
    query = trial.phases.get("query")
    if query is None or query.inferences is None or not query.seconds:
        return None
    return query.inferences / query.seconds


def _rate(trial: Trial) -> float | None:
    tokens, query = output_tokens(trial), trial.phases.get("query")
    return None if tokens is None or query is None or not query.seconds else tokens / query.seconds


def _times(
    done: Sequence[Trial], percentiles: Callable[[Latency], tuple[float | None, ...]]
) -> Times | None:
    """Three percentiles over the trials; None if no trial has any."""
    if all(trial.latency is None for trial in done):
        return None
    unknown = (None, None, None)
    each = [unknown if t.latency is None else percentiles(t.latency) for t in done]
    p50, p95, p99 = (over_trials(one[place] for one in each) for place in range(3))
    return Times(p50=p50, p95=p95, p99=p99) if p50 or p95 or p99 else None
