from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.datasets import rows as drawing
from permille.datasets.rows import MAX_LABELS, Row, collect
from permille.errors import DatasetError
from permille.workload.samples import Sample

SEEDS = st.integers(-(2**40), 2**40)


def rows(count: int) -> Iterator[Row]:
    return (
        Sample(id=str(n), inputs={"text": f"t{n}"}, reference="ab"[n % 2]) for n in range(count)
    )


@given(st.integers(1, 60), st.integers(1, 60), SEEDS)
def test_a_larger_limit_keeps_the_samples_of_a_smaller_one(n: int, limit: int, seed: int) -> None:
    some = collect("d", rows(n), limit=limit, seed=seed).samples
    assert some == collect("d", rows(n), limit=None, seed=seed).samples[:limit]
    assert len({s.id for s in some}) == min(n, limit)


def test_the_order_follows_from_the_seed_and_is_no_other_tomorrow() -> None:
    order = [s.id for s in collect("d", rows(8), limit=None, seed=0).samples]
    assert order == list("14670352")
    assert [s.id for s in collect("d", rows(8), limit=None, seed=1).samples] != order


def test_the_digest_is_of_the_samples_taken() -> None:
    a = collect("d", rows(20), limit=5, seed=0)
    assert a.digest == collect("other name", rows(20), limit=5, seed=0).digest
    assert a.digest != collect("d", rows(20), limit=6, seed=0).digest
    assert a.digest != collect("d", rows(20), limit=5, seed=1).digest


def test_labels_are_the_datasets_not_the_samples() -> None:
    dataset = collect("d", rows(20), limit=1, seed=0)
    assert dataset.labels == ("a", "b")


def test_samples_without_a_limit_that_take_too_much_memory_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drawing, "MAX_HELD_BYTES", 2_000)
    with pytest.raises(DatasetError, match="ask for fewer inferences"):
        collect("d", rows(50), limit=None, seed=0)


def test_two_rows_with_one_id() -> None:
    twice = iter([*rows(3), *rows(1)])
    with pytest.raises(DatasetError, match="two rows with the id '0'"):
        collect("d", twice, limit=None, seed=0)


def test_a_column_of_free_text_is_no_label() -> None:
    free = (
        Sample(id=str(n), inputs={"text": "t"}, reference=f"label {n}")
        for n in range(MAX_LABELS + 1)
    )
    with pytest.raises(DatasetError, match="is the label column the right one"):
        collect("d", free, limit=2, seed=0)
