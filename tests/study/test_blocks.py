"""The order of the models within the blocks: balanced, and the same on every machine."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from permille.balanced import orders


@given(st.integers(1, 24), st.text(max_size=8))
def test_every_model_stands_as_often_at_each_place_and_after_each_other(n: int, seed: str) -> None:
    rows = orders(n, seed)
    assert all(sorted(row) == list(range(n)) for row in rows)
    times = 2 if n % 2 and n > 1 else 1
    assert len(rows) == n * times
    places = Counter((place, name) for row in rows for place, name in enumerate(row))
    assert set(places.values()) == {times}
    after = Counter(pair for row in rows for pair in pairwise(row))
    assert len(after) == n * (n - 1)
    assert set(after.values()) <= {times}


def test_the_order_is_the_seeds() -> None:
    assert orders(6, "0/task/data") == orders(6, "0/task/data")
    drawn = {tuple(map(tuple, orders(6, f"{seed}/task/data"))) for seed in range(20)}
    assert len(drawn) > 10


def test_the_order_is_the_same_on_every_machine() -> None:
    """Two machines that share a study measure the same blocks."""
    assert orders(3, "0/text-classification/reviews") == [
        [0, 2, 1], [1, 2, 0], [2, 0, 1], [1, 0, 2], [0, 1, 2], [2, 1, 0],
    ]  # fmt: skip
