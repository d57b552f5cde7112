"""Dealing a study to machines: whole blocks, so that the models of one (task, dataset) are always
measured side by side on one machine, balanced by what they are expected to cost. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from permille.study.plan.published import Published

Key = tuple[str, str, str]
"""A cell before anything is opened: task, dataset, model."""
Pair = tuple[str, str]
"""A task and a dataset."""

FIXED_S = 0.02
"""Seconds per inference that a trial of 1,000 takes besides: idle baseline, loading, warm-up."""


def deal(keys: Sequence[Key], shards: int, known: Mapping[Key, Published]) -> list[list[Key]]:
    """The cells of each shard, in their order. The costliest (task, dataset) goes first, each to
    the shard that has the least so far (Graham 1969); every machine deals alike.

    ``known``: the published seconds; a cell that is not in the study counts as an average one
    of those that are.
    """
    costs = pair_costs(keys, known)
    loads = [0.0] * shards
    shard_of: dict[Pair, int] = {}
    # Pairs of equal cost go by name: machines that do not talk must come to the same shares.
    for pair in sorted(costs, key=lambda pair: (-costs[pair], pair)):
        lightest = loads.index(min(loads))
        shard_of[pair] = lightest
        loads[lightest] += costs[pair]
    dealt: list[list[Key]] = [[] for _ in range(shards)]
    for key in keys:
        dealt[shard_of[key[:2]]].append(key)
    return dealt


def pair_costs(keys: Sequence[Key], known: Mapping[Key, Published]) -> dict[Pair, float]:
    """What each (task, dataset) is expected to cost, in seconds of the published study's machine
    per inference of all of its models."""
    seconds = {key: known[key].seconds for key in keys if key in known}
    usual = fmean(seconds.values()) if seconds else 0.0
    costs: dict[Pair, float] = {}
    for key in keys:
        pair = key[:2]
        costs[pair] = costs.get(pair, 0.0) + seconds.get(key, usual) + FIXED_S
    return costs
