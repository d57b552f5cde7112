"""What a worker makes of its durations."""

from __future__ import annotations

from array import array
from itertools import pairwise

import pytest

from permille.study.worker.scoring import evenly


@pytest.mark.parametrize(("count", "most"), [(10, 10), (11, 10), (1_000, 10), (250_001, 20_000)])
def test_a_sample_of_durations_is_even_and_bounded(count: int, most: int) -> None:
    sample = evenly(array("q", range(count)), most, calls_per_pass=1)
    assert min(count, most) / 2 <= len(sample) <= most
    assert sample[0] == 0
    gaps = {after - before for before, after in pairwise(sample)}
    assert len(gaps) == 1


@pytest.mark.parametrize("calls_per_pass", [1, 2, 3, 10, 12, 97])
def test_a_sample_meets_every_request_of_a_pass(calls_per_pass: int) -> None:
    numbers = array("q", (i % calls_per_pass for i in range(20_000)))
    assert set(evenly(numbers, 2_000, calls_per_pass=calls_per_pass)) == set(range(calls_per_pass))
