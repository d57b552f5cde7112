"""What to measure next: the options' order and their expected widths."""

from __future__ import annotations

import math

import pytest

from permille.analysis.narrowing import advice, options
from permille.analysis.rerun import SessionMean
from permille.analysis.student import student_t


def session(name: str, mean: float, *, n: int = 4, sd: float | None = 0.1,
            machine: str = "") -> SessionMean:  # fmt: skip
    return SessionMean(session=name, n=n, mean=mean, sd=sd, machine=machine)


def test_where_sessions_differ_another_session_helps_and_repeats_do_not() -> None:
    found = options([session("a", 1.0), session("b", 2.0)])
    assert [option.action for option in found] == ["another session", "twice the repeats"]
    expected = (student_t(2) / math.sqrt(3)) / (student_t(1) / math.sqrt(2))
    assert found[0].narrows_to == pytest.approx(expected)
    assert found[1].narrows_to == pytest.approx(1, abs=0.01)
    assert "another session would narrow the interval to 28 %" in advice(
        [session("a", 1.0), session("b", 2.0)]
    )


def test_where_only_trials_vary_repeats_help_as_the_root_of_two() -> None:
    alike = [session(name, 1.0, n=4, sd=1.0) for name in "abcdefghij"]
    by_action = {option.action: option.narrows_to for option in options(alike)}
    assert by_action["twice the repeats"] == pytest.approx(1 / math.sqrt(2))
    assert by_action["twice the repeats"] < by_action["another session"] < 1


def test_with_one_session_a_second_comes_first() -> None:
    text = advice([session("a", 1.0, n=3)])
    assert text.startswith("a second session")
    assert "twice the repeats would narrow" in text
    (only,) = options([session("a", 1.0, n=3)])
    ends = (student_t(5) / math.sqrt(6)) / (student_t(2) / math.sqrt(3))
    assert only.narrows_to == pytest.approx(ends)
    assert advice([session("a", 1.0, n=1, sd=None)]).endswith("what a rerun gives")


def test_with_several_machines_another_machine_is_an_option() -> None:
    sessions = [
        session(f"{machine}{i}", mean + i / 10, machine=machine)
        for machine, mean in (("x", 1.0), ("y", 3.0))
        for i in range(2)
    ]
    assert options(sessions)[0].action == "another machine"


def test_nothing_varies() -> None:
    assert options([session("a", 1.0, sd=0.0), session("b", 1.0, sd=0.0)]) == ()
    assert "nothing varies" in advice([session("a", 1.0, sd=0.0), session("b", 1.0, sd=0.0)])


def test_what_the_meter_adds_no_repeat_narrows() -> None:
    """The interval of an estimate: 0.2 from the spread, 0.55 and 0.64 from the model."""
    text = advice([session("a", 1.0, n=3)], 0.2, (0.55, 0.64))
    assert "twice the repeats would narrow the interval to 96 % of its width" in text
    assert text.endswith("; most of it is the meter's")
