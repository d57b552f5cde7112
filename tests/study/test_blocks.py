"""The order of a block's models: drawn by the seed, and balanced."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from permille.balanced import order

MODELS = st.integers(1, 12)
SEEDS = st.text(max_size=8)


@given(models=MODELS, cycle=st.integers(0, 5), seed=SEEDS)
def test_over_as_many_blocks_as_models_each_is_in_each_position_once(
    models: int, cycle: int, seed: str
) -> None:
    rows = [order(models, cycle * models + row, seed) for row in range(models)]
    for positions in (*rows, *zip(*rows, strict=True)):
        assert sorted(positions) == list(range(models))


@given(models=MODELS, blocks=st.integers(1, 40), seed=SEEDS)
def test_over_any_number_of_blocks_positions_differ_by_one_at_most(
    models: int, blocks: int, seed: str
) -> None:
    counts = Counter(
        (position, model)
        for block in range(blocks)
        for position, model in enumerate(order(models, block, seed))
    )
    every = [counts[position, model] for position in range(models) for model in range(models)]
    assert max(every) - min(every) <= 1


@given(models=st.integers(2, 12), cycle=st.integers(0, 3), seed=SEEDS)
def test_each_model_follows_each_other_equally_often(models: int, cycle: int, seed: str) -> None:
    """Over one square for an even number of models, over two for an odd one (Williams 1949)."""
    length = models if models % 2 == 0 else 2 * models
    followed = Counter(
        pair
        for block in range(cycle * length, (cycle + 1) * length)
        for row in [order(models, block, seed)]
        for pair in pairwise(row)
    )
    assert set(followed.values()) == {length // models}
    assert len(followed) == models * (models - 1)


def test_the_seed_decides() -> None:
    def orders(seed: str) -> list[tuple[int, ...]]:
        return [order(5, block, seed) for block in range(10)]

    assert orders("0/task/data") == orders("0/task/data")
    assert orders("0/task/data") != orders("1/task/data")
    assert order(0, 3, "0") == ()
