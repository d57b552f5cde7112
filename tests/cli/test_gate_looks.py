"""When the gate looks: by the time that its commands took."""

from __future__ import annotations

import argparse
from itertools import islice

import pytest

from permille.analysis.gate import FIRST_OF_TWO, SECOND_OF_TWO, confidence_of
from permille.analysis.student import CONFIDENCE
from permille.cli.gate_looks import DEFAULT_ROUNDS, DEFAULT_S, MOST_ROUNDS, batches, confidence
from permille.measure.command import Run
from permille.records.energy import Phase
from permille.records.recording import RecorderStats


def options(rounds: int | None = None, *, until_told: bool = False) -> argparse.Namespace:
    return argparse.Namespace(rounds=rounds, until_told=until_told)


def runs(seconds: float, count: int = DEFAULT_ROUNDS) -> list[Run]:
    stats = RecorderStats(cpu_s=0.0, wall_s=seconds, polls=1, missed=0, interval_s=0.1)
    phase = Phase(seconds=seconds, domains={}, problems={})
    return [Run(phase=phase, idle=None, exit_code=0, notices=(), recorder=stats)] * count


def test_short_commands_have_a_second_look_for_the_time_that_is_left() -> None:
    found = ([], [])  # type: tuple[list[Run], list[Run]]
    looks = batches(options(), found)
    first = next(looks)
    assert (first.least, first.most) == (12, 12)
    found[0].extend(runs(0.5))
    found[1].extend(runs(0.25))
    assert confidence(options(), 1, found) == FIRST_OF_TWO
    second = next(looks)
    assert second.seconds == pytest.approx(DEFAULT_S - 12 * 0.25)
    assert second.most == MOST_ROUNDS - 12
    assert confidence(options(), 2, found) == SECOND_OF_TWO
    assert list(looks) == []


def test_long_commands_have_one_look() -> None:
    found = (runs(4.0), runs(2.0))
    assert len(list(batches(options(), found))) == 1
    assert confidence(options(), 1, found) == CONFIDENCE


def test_as_many_rounds_as_are_asked_for() -> None:
    found = (runs(0.1, 5), runs(0.1, 5))
    (only,) = batches(options(5), found)
    assert (only.least, only.most, only.seconds) == (5, 5, 0.0)
    assert confidence(options(5), 1, found) == CONFIDENCE


def test_until_it_is_told_the_rounds_double() -> None:
    looks = islice(batches(options(3, until_told=True), ([], [])), 4)
    assert [look.least for look in looks] == [3, 3, 6, 12]
    assert confidence(options(until_told=True), 3, (runs(0.1), runs(0.1))) == confidence_of(3)
