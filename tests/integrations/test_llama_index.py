"""The callback handler in the real library, with its own mock model."""

from __future__ import annotations

import time
from typing import Any

import pytest

import permille
from permille.integrations.llama_index import energy_callback
from tests.integrations.optional import needs
from tests.powercap import Driver

pytestmark = [pytest.mark.slow, pytest.mark.measuring, needs("llama_index")]


@pytest.mark.filterwarnings("default")
def test_a_chat_made_of_a_completion_is_one_span(machine: Driver) -> None:
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.llms import MockLLM

    class Slow(MockLLM):  # type: ignore[misc]
        def _generate_text(self, length: int) -> str:
            time.sleep(0.3)
            return str(super()._generate_text(length))

    def model(rec: permille.Session) -> Any:
        return Slow(max_tokens=5, callback_manager=CallbackManager([energy_callback(rec)]))

    with permille.record() as rec:
        llm = model(rec)
        llm.complete("is it?")
        llm.chat([ChatMessage(content="is it?")])
        for _ in llm.stream_complete("is it?"):
            time.sleep(0.1)
    result = rec["llm"]
    assert (result.spans, result.inferences) == (3, 3)
    assert result.energy is not None
    assert result.energy.value == pytest.approx(60 * result.seconds, rel=0.1)
