"""The time of a reading, on a clock of the test's, by a process that is descheduled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from permille.meters.dated import TRIES, dated

MS = 1_000_000


def taking(*took_ms: int) -> tuple[int, int]:
    """The time (ms), and which reading it is of, if the readings take so long."""
    now_ms = 0
    times: Iterator[int] = iter(took_ms)
    number = 0

    def read() -> int:
        nonlocal now_ms, number
        now_ms += next(times)
        number += 1
        return number

    t_ns, value = dated(read, 2 * MS, lambda: now_ms * MS)
    return t_ns // MS, value


@pytest.mark.parametrize(
    ("took_ms", "expected"),
    [
        ((0,), (0, 1)),
        ((400, 0), (400, 2)),
        ((400, 300, 0), (700, 3)),
        ((9, 8, 4, 6, 10), (19, 3)),  # none is prompt: the quickest is the most certain
    ],
)
def test_a_reading_during_which_its_process_was_away_is_repeated(
    took_ms: tuple[int, ...], expected: tuple[int, int]
) -> None:
    assert taking(*took_ms) == expected


def test_a_meter_that_is_always_slow_is_read_a_few_times_only() -> None:
    assert taking(*[5] * TRIES) == (2, 1)
