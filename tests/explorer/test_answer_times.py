"""The times of answers as the page gets them: every limit of three digits counts what it should."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from permille.explorer.answer_times import shape, steps
from tests.explorer.test_golden import SPREAD, UNKNOWN

TIMES_NS = st.lists(st.integers(min_value=0, max_value=10**12), min_size=1, max_size=40)
LIMITS = st.builds(
    lambda digits, power: float(Decimal(digits).scaleb(power)),
    st.integers(min_value=1, max_value=999),
    st.integers(min_value=-9, max_value=1),
)


@given(TIMES_NS, LIMITS)
def test_the_steps_count_the_times_within_any_limit(times_ns: list[int], limit_s: float) -> None:
    found = steps(times_ns)
    within = [
        count for at, count in zip(found["limits_s"], found["counts"], strict=True) if at <= limit_s
    ]
    assert (within or [0])[-1] == sum(time_ns / 1e9 <= limit_s for time_ns in times_ns)
    assert found["counts"][-1] == len(times_ns)


def test_many_answers_are_few_steps() -> None:
    times_ns = range(10**9, 2 * 10**9, 50_000)
    assert len(times_ns) == 20_000
    assert len(steps(times_ns)["limits_s"]) == 101


def test_a_trial_without_times_is_a_reason_for_each_time() -> None:
    found = shape([SPREAD[0], UNKNOWN])
    assert found["reasons"] == dict.fromkeys(("ttft", "tpot", "latency"), "a trial has no times")
    assert [sorted(one["within"]) for one in found["trials"]] == [["latency", "tpot", "ttft"], []]
