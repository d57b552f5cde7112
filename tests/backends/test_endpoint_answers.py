from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.backends.endpoint.answers import Answer, embedding, params_of
from permille.errors import InferenceError
from permille.workload.outputs import Output


def read(*objects: Any, asked: int | None = None) -> Output:
    answer = Answer("model 'm'", asked)
    for one in objects:
        answer.add(one)
    return answer.output()


def whole(message: Any, finish_reason: Any = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": finish_reason}], **more}


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "hello"}, "hello"),
        ({"content": ""}, ""),
        ({"content": None, "reasoning_content": "so"}, ""),
        ({"content": None, "reasoning": "so"}, ""),
        ({"reasoning_content": "so", "content": "hello"}, "hello"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
        ({"content": [{"type": "refusal", "refusal": "no"}]}, "no"),
        ({"content": None, "refusal": "I will not"}, "I will not"),
        ({"content": None, "tool_calls": [{"id": "7"}]}, '[{"id": "7"}]'),
        ({"content": None, "function_call": {"name": "f"}}, '{"name": "f"}'),
    ],
)
def test_every_form_of_an_answer_is_read(message: Any, text: str) -> None:
    assert read(whole(message)).text == text


def test_the_legacy_form_is_read() -> None:
    assert read({"choices": [{"text": "a"}]}).text == "a"


@pytest.mark.parametrize(
    "message",
    [{}, {"content": None}, {"content": 7}, {"content": []}, {"content": None, "tool_calls": []}],
)
def test_an_answer_with_nothing_in_it_is_a_failure(message: Any) -> None:
    with pytest.raises(InferenceError, match="has no text, reasoning, tool call or refusal"):
        read(whole(message))


@pytest.mark.parametrize(
    "body", [{}, {"choices": []}, {"choices": None}, {"choices": [7]}, {"usage": {}}]
)
def test_an_answer_without_choices_is_a_failure(body: Any) -> None:
    with pytest.raises(InferenceError, match="has no choices"):
        read(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "engine\ndied", "code": 500}}, "engine died"),
        ({"error": "out of memory"}, "out of memory"),
        ({"error": {"code": 7}}, '"code": 7'),
        ({"error": {"message": "late"}, "choices": [{"text": "a"}]}, "late"),
        ({"object": "error", "message": "bad"}, "bad"),
        ({"type": "error", "message": "overloaded"}, "overloaded"),
        ({"detail": "no such model"}, "no such model"),
    ],
)
def test_an_object_that_is_an_error_is_a_failure_with_the_servers_words(
    body: Any, words: str
) -> None:
    with pytest.raises(InferenceError, match=words) as caught:
        read(body)
    assert "\n" not in str(caught.value)


def test_an_error_that_is_null_is_none() -> None:
    assert read(whole({"content": "a"}, error=None)).text == "a"


@pytest.mark.parametrize(
    "reason", ["error", "abort", "content_filter", "ABORTED", "cancelled", "load", "unheard_of"]
)
def test_an_answer_that_did_not_end_as_it_should_is_a_failure(reason: str) -> None:
    with pytest.raises(InferenceError, match=f"finish_reason '{reason}'"):
        read(whole({"content": "half an"}, reason))


@pytest.mark.parametrize("reason", ["stop", "STOP", "tool_calls", "eos_token", "length", None, ""])
def test_an_answer_that_ended_as_it_should_is_none(reason: str | None) -> None:
    assert read(whole({"content": "a"}, reason)).text == "a"


def usage(out: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": 20, "completion_tokens": out, **more}


def test_a_cut_off_that_was_not_asked_for_is_a_failure() -> None:
    with pytest.raises(InferenceError, match="cut off after 5 of 16 tokens"):
        read(whole({"content": "a"}, "length", usage=usage(5)), asked=16)


@pytest.mark.parametrize(("out", "reason"), [(16, "length"), (15, "length"), (5, "stop")])
def test_one_that_was_asked_for_is_none(out: int, reason: str) -> None:
    assert read(whole({"content": "a"}, reason, usage=usage(out)), asked=16).tokens_out == out


def test_reasoning_counts_towards_what_was_asked() -> None:
    counts = usage(4, completion_tokens_details={"reasoning_tokens": 12})
    found = read(whole({"content": "a"}, "length", usage=counts), asked=16)
    assert (found.tokens_out, found.tokens_reasoning) == (4, 12)


def streamed(*parts: dict[str, str], out: int | None, **counts: Any) -> Output:
    """An answer in pieces, and then its usage."""
    answer = Answer("model 'm'", None)
    for part in parts:
        answer.add({"choices": [{"index": 0, "delta": part}]})
    answer.add({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    answer.add({"choices": [], "usage": None if out is None else usage(out, **counts)})
    return answer.output(0.1, 0.2)


THINKING = ({"reasoning_content": "a"}, {"reasoning": "b"}, {"content": "c"})


@pytest.mark.parametrize("out", [3, 4])
def test_reasoning_in_a_stream_is_counted_if_each_piece_is_a_token(out: int) -> None:
    found = streamed(*THINKING, out=out)
    assert (found.text, found.tokens_reasoning, found.reasoned) == ("c", 2, True)


@pytest.mark.parametrize("out", [2, 9, None])
def test_reasoning_in_larger_pieces_is_not_counted_but_known(out: int | None) -> None:
    found = streamed(*THINKING, out=out)
    assert (found.tokens_reasoning, found.reasoned) == (None, True)


def test_what_the_server_states_counts_more_than_the_pieces() -> None:
    found = streamed(*THINKING, out=3, completion_tokens_details={"reasoning_tokens": 7})
    assert found.tokens_reasoning == 7


@pytest.mark.parametrize(
    ("text", "reasoned"),
    [
        ("<think>Well, 2 and 2</think>4", True),
        ("\n<think>\nnot done", True),
        ("<think>\n\n</think>\n4", False),
        ("4 <think>", False),
    ],
)
def test_reasoning_within_the_text_is_known(text: str, reasoned: bool) -> None:
    assert streamed({"content": text}, out=9).reasoned is reasoned


def test_usage_that_is_repeated_is_the_last() -> None:
    pieces = [
        {"choices": [{"index": 0, "delta": {"content": "a"}}], "usage": usage(n)} for n in (1, 2)
    ]
    found = read(*pieces, {"choices": [], "usage": usage(3)}, {"choices": [], "usage": None})
    assert (found.text, found.tokens_out) == ("aa", 3)


def test_of_several_choices_the_first_is_the_answer() -> None:
    choices = [
        {"index": 1, "text": "other", "finish_reason": "stop"},
        {"index": 0, "text": "first", "finish_reason": "stop"},
    ]
    assert read({"choices": choices}).text == "first"


def test_a_choice_that_failed_fails_the_answer() -> None:
    good = {"index": 0, "text": "a", "finish_reason": "stop"}
    with pytest.raises(InferenceError, match="abort"):
        read({"choices": [good, {"index": 1, "text": "b", "finish_reason": "abort"}]})


def test_a_stream_is_finished_when_all_its_choices_are() -> None:
    answer = Answer("m", None)
    assert not answer.is_finished
    answer.add({"choices": [{"index": i, "delta": {"content": "a"}} for i in (0, 1)]})
    answer.add({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    assert not answer.is_finished
    answer.add({"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]})
    assert answer.is_finished


@pytest.mark.parametrize(
    ("more", "cached"),
    [
        ({"usage": usage(4, prompt_tokens_details={"cached_tokens": 19})}, 19),
        ({"usage": usage(4, prompt_tokens_details={"cached_tokens": 0})}, 0),
        ({"usage": usage(4, prompt_tokens_details=None)}, None),
        ({"usage": usage(4, prompt_cache_hit_tokens=8)}, 8),
        ({"usage": usage(4, cached_tokens=8)}, 8),
        ({"usage": usage(4), "timings": {"cache_n": 12, "prompt_n": 8}}, 12),
        ({"usage": usage(4, prompt_cache_hit_tokens=-1)}, None),
        ({"usage": usage(4, prompt_cache_hit_tokens=True)}, None),
        ({}, None),
    ],
)
def test_what_came_from_a_cache_is_read_by_every_name(more: Any, cached: int | None) -> None:
    assert read(whole({"content": "a"}, **more)).tokens_cached == cached


def test_an_embedding_is_the_one_of_index_0() -> None:
    entries = [{"index": 1, "embedding": [9]}, {"index": 0, "embedding": [1, 2.5]}]
    assert embedding("m", {"data": entries}).data == [1.0, 2.5]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": []},
        *(
            {"data": [{"embedding": v}]}
            for v in ([1, "2"], [], [float("nan")], [10**400], [True], "abc")
        ),
    ],
)
def test_an_embedding_that_is_none(body: Any) -> None:
    with pytest.raises(InferenceError, match="has no embedding"):
        embedding("m", body)


def listed(*entries: tuple[str, Any]) -> dict[str, Any]:
    return {"data": [{"id": name, "meta": {"n_params": params}} for name, params in entries]}


@pytest.mark.parametrize(
    ("models", "params"),
    [
        (listed(("other", 7), ("m", 135)), 135),
        (listed(("model.gguf", 135)), 135),
        (listed(("other", 7), ("another", 8)), None),
        (listed(("m", -1)), None),
        (listed(("m", True)), None),
        (listed(("m", 10**30)), None),
        ({"data": [{"id": "m"}]}, None),
        ({"data": {}}, None),
        ({}, None),
    ],
)
def test_parameters_are_those_of_the_model_that_is_asked(models: Any, params: int | None) -> None:
    assert params_of(models, "m") == params


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
PARTS = st.dictionaries(
    st.sampled_from(["content", "text", "reasoning", "tool_calls", "refusal"]),
    LEAVES | st.lists(LEAVES, max_size=2),
    max_size=2,
)
CHOICES = st.dictionaries(
    st.sampled_from(["index", "message", "delta", "text", "finish_reason"]),
    LEAVES | PARTS,
    max_size=3,
)


@given(choices=LEAVES | st.lists(LEAVES | CHOICES, max_size=3), usage=LEAVES | PARTS, error=LEAVES)
def test_any_object_is_an_answer_or_one_line(choices: Any, usage: Any, error: Any) -> None:
    failure = ""
    try:
        assert read({"choices": choices, "usage": usage, "error": error}).text is not None
    except InferenceError as found:
        failure = str(found)
    assert "\n" not in failure
    assert len(failure) < 500
