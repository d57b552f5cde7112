"""The callback in chains of the real library, with its own fake models."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import permille
from permille.errors import UsageError
from permille.integrations.langchain import energy_callback
from tests.conftest import POWER_W, holds
from tests.integrations.optional import needs
from tests.powercap import Driver

pytestmark = [pytest.mark.slow, pytest.mark.measuring, needs("langchain_core")]


def chain(**settings: Any) -> Any:
    """A prompt and a chat model that answers after 0.3 s."""
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.prompts import ChatPromptTemplate

    model = FakeListChatModel(responses=["yes", "no"], sleep=0.3, **settings)
    return ChatPromptTemplate.from_messages([("user", "{question}")]) | model


def test_the_calls_of_a_chain_are_spans(machine: Driver) -> None:
    with permille.record() as rec:
        config = {"callbacks": [energy_callback(rec)]}
        assert chain().invoke({"question": "is it?"}, config=config).content == "yes"
        "".join(part.content for part in chain().stream({"question": "is it?"}, config=config))
    result = rec["llm"]
    assert (result.spans, result.inferences) == (2, 2)
    assert holds(result.energy, POWER_W * result.seconds)
    assert result.seconds >= 0.3


def test_concurrent_calls_share_their_time(machine: Driver) -> None:
    async def ask(rec: permille.Session) -> None:
        config = {"callbacks": [energy_callback(rec)]}
        await asyncio.gather(
            *(chain().ainvoke({"question": str(i)}, config=config) for i in range(3))
        )

    with permille.record() as rec:
        asyncio.run(ask(rec))
    result = rec["llm"]
    assert (result.spans, result.inferences) == (3, 3)
    assert any("is shared among" in note for note in result.notes)


def test_an_exception_of_the_model_makes_the_result_invalid(machine: Driver) -> None:
    from langchain_core.language_models import FakeListChatModel

    class Failing(FakeListChatModel):  # type: ignore[misc]
        def _call(self, *arguments: Any, **settings: Any) -> str:
            raise ValueError("no answer")

    with permille.record() as rec, pytest.raises(ValueError, match="no answer"):
        Failing(responses=[""]).invoke("is it?", config={"callbacks": [energy_callback(rec)]})
    assert (rec["llm"].reason or "").startswith("1 of 1 spans ended with ValueError: no answer")


def test_a_call_outside_the_recording_is_an_error_of_the_chain() -> None:
    config = {"callbacks": [energy_callback(permille.record())]}
    with pytest.raises(UsageError, match="a span must be inside the recording"):
        chain().invoke({"question": "is it?"}, config=config)
