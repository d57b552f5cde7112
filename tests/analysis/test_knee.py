"""The search for the load at which a promise breaks, on servers of every kind."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from permille.analysis.knee import DOUBLINGS, MOST_LOADS, RESOLUTION, KneeStep, step

Verdict = Callable[[float], bool | None]
rates = st.floats(min_value=0.01, max_value=1000)
clients = st.integers(min_value=1, max_value=500)


def search(
    verdict_of: Verdict, start: float, *, whole: bool
) -> tuple[KneeStep, dict[float, bool | None]]:
    verdicts: dict[float, bool | None] = {}
    while (now := step(verdicts, start, whole=whole)).load is not None:
        assert now.load not in verdicts  # nothing is measured twice
        verdicts[now.load] = verdict_of(now.load)
        assert len(verdicts) <= MOST_LOADS
    return now, verdicts


@given(start=rates, factor=st.floats(min_value=2.0**-9, max_value=2.0**9))
def test_a_rate_is_bracketed_within_the_resolution(start: float, factor: float) -> None:
    knee = start * factor
    end, _ = search(lambda load: load <= knee, start, whole=False)
    assert end.end == "resolved"
    assert end.kept is not None
    assert end.beyond is not None
    assert end.kept <= knee < end.beyond <= end.kept * (1 + RESOLUTION)


@given(start=clients, knee=clients)
def test_clients_are_whole_and_bracketed(start: int, knee: int) -> None:
    end, verdicts = search(lambda load: load <= knee, start, whole=True)
    assert all(load == int(load) >= 1 for load in verdicts)
    if end.end == "resolved":
        assert end.kept is not None
        assert end.beyond is not None
        assert end.kept <= knee < end.beyond
        assert end.beyond - end.kept <= max(1, end.kept * RESOLUTION)
    else:  # too far for so many doublings
        assert end.end == "never-breaks"
        assert knee >= start * 2**DOUBLINGS


def test_a_promise_that_never_breaks_ends_after_the_doublings() -> None:
    end, verdicts = search(lambda load: True, 1, whole=True)
    assert (end.end, end.kept, end.beyond) == ("never-breaks", 2**DOUBLINGS, None)
    assert len(verdicts) == DOUBLINGS + 1


def test_a_promise_that_one_client_breaks_ends_at_once() -> None:
    end, verdicts = search(lambda load: False, 1, whole=True)
    assert (end.end, end.kept, end.beyond) == ("none-keeps", None, 1)
    assert list(verdicts) == [1]


def test_a_rate_that_no_server_keeps_ends_after_the_halvings() -> None:
    end, verdicts = search(lambda load: False, 2.0, whole=False)
    assert end.end == "none-keeps"
    assert len(verdicts) == DOUBLINGS + 1


def test_a_start_beyond_the_knee_goes_down_first() -> None:
    end, verdicts = search(lambda load: load <= 3, 16, whole=True)
    assert list(verdicts) == [16, 8, 4, 2, 3]
    assert (end.kept, end.beyond) == (3, 4)


@given(start=clients, knee=clients, blur=st.integers(min_value=0, max_value=50))
def test_cannot_tell_ends_the_bisection_at_that_resolution(
    start: int, knee: int, blur: int
) -> None:
    def verdict_of(load: float) -> bool | None:
        return None if knee < load <= knee + blur else load <= knee

    end, verdicts = search(verdict_of, start, whole=True)
    if end.end == "cannot-tell":
        assert end.kept is not None
        assert end.beyond is not None
        assert end.kept <= knee < end.beyond <= knee + blur
        assert verdicts[end.beyond] is None


@given(start=clients, seed=st.integers(min_value=0, max_value=2**32))
def test_a_noisy_server_ends_between_a_kept_load_and_one_that_is_not(start: int, seed: int) -> None:
    chance = random.Random(seed)
    end, verdicts = search(lambda load: chance.choice([True, False, None]), start, whole=True)
    assert end.kept is None or verdicts[end.kept] is True
    assert end.beyond is None or verdicts[end.beyond] is not True
    if end.kept is not None and end.beyond is not None:
        assert end.kept < end.beyond


@given(start=rates, knee=rates)
def test_a_search_goes_on_where_it_stopped(start: float, knee: float) -> None:
    _, whole = search(lambda load: load <= knee, start, whole=False)
    for count in range(len(whole)):
        stored = dict(list(whole.items())[:count])
        assert step(stored, start, whole=False).load == list(whole)[count]
