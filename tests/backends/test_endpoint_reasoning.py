"""The setting ``reasoning``: what the server is sent, and what its answers must show."""

from __future__ import annotations

from typing import Any

import pytest

from permille.backends.endpoint import backend
from permille.errors import InferenceError, ModelError
from permille.study.worker.scoring import reasoning_notes
from permille.tasks.prompting import token_counts
from permille.workload.outputs import Output
from permille.workload.requests import Chat
from tests.backends.openai_server import chat, serving
from tests.backends.test_endpoint import load, spec

QUESTION = Chat(messages=(("user", "2 + 2?"),), max_new_tokens=4)
ON = {"enable_thinking": True, "thinking": True}
OFF = {"enable_thinking": False, "thinking": False}


def sent(setting: str, owner: str | None) -> dict[str, Any]:
    """The fields of a request that are about reasoning."""
    models = None if owner is None else {"data": [{"id": "other", "owned_by": owner}]}
    with serving(lambda number, asked: chat("4"), models=models) as server:
        loaded = load(spec(server.port, reasoning=setting), "chat")
        loaded.infer(QUESTION)
        loaded.close()
    names = ("reasoning_effort", "chat_template_kwargs")
    return {key: value for key, value in server.posts[-1].items() if key in names}


@pytest.mark.parametrize(
    ("setting", "owner", "fields"),
    [
        ("off", None, {"reasoning_effort": "none"}),
        ("off", "library", {"reasoning_effort": "none"}),
        ("low", "openai", {"reasoning_effort": "low"}),
        ("off", "llamacpp", {"chat_template_kwargs": OFF}),
        ("off", "vllm", {"chat_template_kwargs": OFF}),
        (
            "high",
            "vllm",
            {
                "reasoning_effort": "high",
                "chat_template_kwargs": {**ON, "reasoning_effort": "high"},
            },
        ),
    ],
)
def test_it_goes_to_the_server_in_the_form_that_it_knows(
    setting: str, owner: str | None, fields: dict[str, Any]
) -> None:
    assert sent(setting, owner) == fields


def test_an_answer_with_reasoning_is_not_one_with_reasoning_off() -> None:
    with serving(lambda number, asked: chat("4", reasoning_content="Two and two")) as server:
        loaded = load(spec(server.port, reasoning="off"), "chat")
        with pytest.raises(InferenceError, match='in spite of reasoning = "off"'):
            loaded.infer(QUESTION)
        loaded.close()


@pytest.mark.parametrize(
    ("settings", "task", "words"),
    [
        ({}, "text-classification", 'set api = "chat"'),
        ({"extra": {"reasoning_effort": "low"}}, "chat", "not both"),
    ],
)
def test_a_setting_that_could_not_hold_is_refused(
    settings: dict[str, Any], task: str, words: str
) -> None:
    with serving(lambda number, asked: chat("4")) as server, pytest.raises(ModelError, match=words):
        backend.check(spec(server.port, reasoning="low", **settings), task)


def test_reasoning_of_unknown_length_leaves_no_sum_of_a_part() -> None:
    counted = Output(tokens_in=1, tokens_out=9, tokens_reasoning=5, reasoned=True)
    uncounted = Output(tokens_in=1, tokens_out=9, reasoned=True)
    plain = Output(tokens_in=1, tokens_out=9)
    assert token_counts([counted, plain])["tokens_reasoning"] == 5
    both = token_counts([counted, uncounted])
    assert "tokens_reasoning" not in both
    assert both["reasoned"] == 2


def test_no_sign_of_reasoning_is_noted_if_there_should_be_some() -> None:
    assert len(reasoning_notes({"tokens_out": 9.0}, "low")) == 1
    assert reasoning_notes({"reasoned": 1.0}, "low") == []
    assert reasoning_notes({}, "off") == reasoning_notes({}, None) == []
