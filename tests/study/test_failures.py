from __future__ import annotations

from typing import Any

import pytest

from permille.errors import InferenceError, ModelError
from permille.study.worker.failing import describe
from permille.study.worker.failures import FAILED, FailureTally, answered, failed_note
from permille.study.worker.queries import Calls, warm_up


def failing(every: int) -> Any:
    """An inference of which every so-many-th fails."""
    calls = iter(range(1, 100_000))

    def infer(request: Any) -> Any:
        number = next(calls)
        if number % every == 0:
            raise InferenceError(f"engine died at {number}")
        return number

    return infer


def tried(tally: FailureTally, times: int) -> list[Any]:
    return [tally.infer("x") for _ in range(times)]


def test_unless_a_study_allows_it_the_first_failure_is_raised_as_it_is() -> None:
    with pytest.raises(InferenceError, match=r"^engine died at 3$"):
        tried(FailureTally(failing(3), 0, 100), 10)


def test_a_count_that_is_allowed() -> None:
    assert tried(FailureTally(failing(3), 3, 100), 10).count(FAILED) == 3
    with pytest.raises(ModelError, match=r"4 of 12 .* max_failures = 3 .*first: engine died at 3"):
        tried(FailureTally(failing(3), 3, 100), 20)


def test_a_share_is_of_what_is_asked_at_least() -> None:
    assert tried(FailureTally(failing(3), 0.05, 100), 17).count(FAILED) == 5
    with pytest.raises(ModelError, match=r"6 of 18 .* max_failures = 0\.05"):
        tried(FailureTally(failing(3), 0.05, 100), 18)


def test_a_share_of_more_than_was_asked() -> None:
    assert tried(FailureTally(failing(20), 0.05, 10), 400).count(FAILED) == 20
    with pytest.raises(ModelError):
        tried(FailureTally(failing(19), 0.05, 10), 400)


def test_another_error_is_no_failure_of_an_inference() -> None:
    def infer(request: Any) -> Any:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        FailureTally(infer, 1000, 1000).infer("x")


def test_what_was_never_answered_is_left_out_and_said() -> None:
    notes: list[str] = []
    samples: Any = ["s1", "s2", "s3"]
    answers, kept = answered(["a", FAILED, "c"], samples, notes)
    assert (list(answers), list[object](kept)) == (["a", "c"], ["s1", "s3"])
    assert notes == ["1 sample was never answered and not scored"]
    assert answered(["a", "b", "c"], samples, notes)[1] is samples
    assert len(notes) == 1


def test_the_note_has_the_share_and_the_servers_words() -> None:
    found = failed_note(3, 37, "engine died")
    assert found.startswith("3 of 40 inferences failed (7.5 %)")
    assert found.endswith("engine died")


def test_a_warm_up_asks_a_request_that_always_fails_once_a_pass() -> None:
    class Model:
        def infer(self, request: Any) -> Any:
            if request == "too long":
                raise InferenceError("the prompt is longer than the context")
            return request

    model: Any = Model()
    calls = Calls(model, ["short", "too long", "shorter"], batch_size=1)
    calls.infer = FailureTally(model.infer, 2, 3).infer
    assert warm_up(calls, 5).inferences == 5


def test_the_reason_is_the_exception_not_a_note_on_it() -> None:
    error = ModelError("no such word")
    error.add_note("see the manual")
    assert describe(error, None) == "ModelError: no such word"
