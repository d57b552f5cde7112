"""The callback handler in the real library, with its own mock model."""

from __future__ import annotations

import time
from typing import Any

import pytest

import permille
from permille.integrations.llama_index import energy_callback
from tests.conftest import POWER_W, holds
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
    assert holds(result.energy, POWER_W * result.seconds)


@pytest.mark.filterwarnings("default")
def test_each_batch_of_embeddings_is_a_span_with_its_texts(machine: Driver) -> None:
    from llama_index.core import MockEmbedding
    from llama_index.core.callbacks import CallbackManager

    class Slow(MockEmbedding):  # type: ignore[misc]
        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            time.sleep(0.3)
            return list(super()._get_text_embeddings(texts))

        def _get_query_embedding(self, query: str) -> list[float]:
            time.sleep(0.3)
            return list(super()._get_query_embedding(query))

    with permille.record() as rec:
        manager = CallbackManager([energy_callback(rec, embeddings="vectors")])
        model = Slow(embed_dim=4, embed_batch_size=2, callback_manager=manager)
        assert len(model.get_text_embedding_batch(["good", "bad", "neither"])) == 3
        model.get_query_embedding("good?")
    result = rec["vectors"]
    assert (result.spans, result.inferences) == (3, 4)
    assert holds(result.energy, POWER_W * result.seconds)


@pytest.mark.filterwarnings("default")
def test_embeddings_that_fail_make_the_result_invalid(machine: Driver) -> None:
    from llama_index.core import MockEmbedding
    from llama_index.core.callbacks import CallbackManager

    class Broken(MockEmbedding):  # type: ignore[misc]
        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            raise MemoryError("no room")

    with permille.record() as rec:
        model = Broken(embed_dim=4, callback_manager=CallbackManager([energy_callback(rec)]))
        with pytest.raises(MemoryError):
            model.get_text_embedding_batch(["good"])
    assert rec["embed"].kwh_per_1000 is None
    assert "MemoryError" in str(rec["embed"].reason)
