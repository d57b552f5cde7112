"""Whose backlog it is: a slow server's, or that of a permille that was held up."""

from __future__ import annotations

import heapq
import random

import pytest

from permille.study.worker.backlog import judge, judge_in_flight, most_extended, own_backlog


@pytest.mark.parametrize(
    ("grown", "arrivals", "own", "verdict"),
    [
        (10, 100, 0, "steady"),
        (10, 100, 50, "steady"),
        (20, 100, 0, "unclear"),  # two square roots: chance, or an overload of a fifth
        (20, 100, 9, "unclear"),
        (20, 100, 10, "held-up"),
        (26, 100, 0, "overload"),
        (26, 100, 1, "held-up"),
        (60, 100, 34, "overload"),  # a stall of 34 arrivals leaves 26 of the 60
        (60, 100, 35, "held-up"),
        (150, 2000, 0, "overload"),
        (150, 2000, 60, "held-up"),  # within a tenth, but more than chance
        (100, 2000, 60, "steady"),
    ],
)
def test_growth_beyond_chance_and_the_own_backlog_is_the_servers(
    grown: int, arrivals: int, own: int, verdict: str
) -> None:
    assert judge(grown, arrivals, own=own) == verdict


@pytest.mark.parametrize(
    ("in_flight", "own", "verdict"),
    [
        (512, 0, "steady"),
        (513, 0, "overload"),
        (513, 1, "steady"),
        (1024, 511, "overload"),
        (1024, 512, "steady"),
        (1025, 513, "held-up"),
        (1025, 512, "overload"),
    ],
)
def test_more_in_flight_than_a_stall_explains_are_an_overload(
    in_flight: int, own: int, verdict: str
) -> None:
    assert judge_in_flight(in_flight, own=own) == verdict


def test_the_own_backlog_is_what_is_sent_late_and_what_is_read_late() -> None:
    assert own_backlog(100.0, 500_000_000) == 100
    assert own_backlog(4.0, 124_999_999) == 0


def test_a_window_is_not_extended_forever() -> None:
    assert most_extended(200, own=100) == 1200
    assert most_extended(10, own=0) == 200
    assert most_extended(200, own=10**6) == 4 * (200 + 1024)


class Simulated:
    """A server with so many requests a second as its limit, asked at a rate by a permille that
    stands still for ``stall_s`` every ``every_s``. ``verdicts``: at each arrival from ``after`` on,
    until the first that ends the window."""

    def __init__(
        self, *, rate: float, limit: float, stall_s: float, every_s: float, seed: int
    ) -> None:
        chance = random.Random(seed)
        self.rate, after, due_s = rate, 200, 0.0
        self.verdicts: list[str] = []
        waiting: list[float] = []
        free_s = lag_s = 0.0
        for arrivals in range(1, 5001):
            due_s += chance.expovariate(rate)
            sent_s = self.awake(due_s, stall_s, every_s)
            lag_s = max(lag_s, sent_s - due_s)
            free_s = max(free_s, sent_s) + 1 / limit
            # An answer that comes during a stall is read after it.
            heapq.heappush(waiting, self.awake(free_s, stall_s, every_s))
            while waiting and waiting[0] <= sent_s:
                heapq.heappop(waiting)
            if arrivals < after:
                continue
            own = own_backlog(rate, int(lag_s * 1e9))
            self.verdicts.append(judge(len(waiting), arrivals, own=own))
            self.arrivals = arrivals
            if self.verdicts[-1] in ("steady", "overload"):
                return

    @staticmethod
    def awake(t_s: float, stall_s: float, every_s: float) -> float:
        into_s = t_s % every_s
        return t_s if into_s >= stall_s else t_s - into_s + stall_s


@pytest.mark.parametrize("stall_s", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("every_s", [5.0, 13.0])
def test_a_server_that_keeps_up_is_never_blamed_for_stalls(stall_s: float, every_s: float) -> None:
    for seed in range(20):
        run = Simulated(rate=50, limit=75, stall_s=stall_s, every_s=every_s, seed=seed)
        assert run.verdicts[-1] == "steady"
        assert run.arrivals <= most_extended(200, own=0)


@pytest.mark.parametrize("stall_s", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("every_s", [5.0, 13.0])
def test_a_server_that_is_too_slow_is_found_in_spite_of_stalls(
    stall_s: float, every_s: float
) -> None:
    for seed in range(20):
        run = Simulated(rate=50, limit=33, stall_s=stall_s, every_s=every_s, seed=seed)
        assert run.verdicts[-1] == "overload"
        assert run.arrivals <= most_extended(200, own=own_backlog(50, int(stall_s * 1e9)))
