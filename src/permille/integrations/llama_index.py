"""LlamaIndex: a callback handler whose spans are the calls of language and embedding models.

::

    with permille.record() as rec:
        Settings.callback_manager = CallbackManager([energy_callback(rec)])
        ...
    print(rec["llm"].kwh_per_1000, rec["embed"].kwh_per_1000)
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from permille.api.session import Session
from permille.extras import extra
from permille.integrations.open_calls import OpenCalls

if TYPE_CHECKING:
    from llama_index.core.callbacks.base_handler import BaseCallbackHandler


def energy_callback(
    rec: Session, *, name: str = "llm", embeddings: str = "embed"
) -> BaseCallbackHandler:
    """A callback handler: each call of a language model is a span called ``name`` with one
    inference, and each batch of an embedding model one called ``embeddings`` with the number of its
    texts. A streamed answer is a span until its end.

    Raises:
        UsageError: llama-index-core is not installed.
    """
    with extra("llama-index", "the callback for LlamaIndex"):
        from llama_index.core.callbacks.base_handler import BaseCallbackHandler
        from llama_index.core.callbacks.schema import CBEventType, EventPayload

    spans = _CallSpans(rec, name, embeddings)

    class EnergyCallback(BaseCallbackHandler):  # type: ignore[misc]  # the library is optional
        def __init__(self) -> None:
            super().__init__(event_starts_to_ignore=[], event_ends_to_ignore=[])

        def on_event_start(
            self,
            event_type: Any,
            payload: Any = None,
            event_id: str = "",
            parent_id: str = "",
            **more: Any,
        ) -> str:
            if event_type == CBEventType.EMBEDDING:
                spans.embedding_begins(event_id)
            elif event_type == CBEventType.LLM:
                spans.llm_begins(event_id, is_chat=EventPayload.MESSAGES in (payload or {}))
            return event_id

        def on_event_end(
            self, event_type: Any, payload: Any = None, event_id: str = "", **more: Any
        ) -> None:
            payload = payload or {}
            error = payload.get(EventPayload.EXCEPTION)
            if event_type == CBEventType.EMBEDDING:
                spans.embedding_ends(event_id, error, len(payload.get(EventPayload.CHUNKS, ())))
            else:
                spans.llm_ends(event_id, error)

        def start_trace(self, trace_id: str | None = None) -> None:
            """Spans need no trace."""

        def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None:
            """Spans need no trace."""

    return EnergyCallback()


class _CallSpans:
    """The spans of the calls that have begun and not ended.

    A model whose chat is made of its completion, or the other way round, reports both, without
    saying that one is in the other; the second begins in the same thread and task before the first
    ends, and is no span of its own.
    """

    def __init__(self, rec: Session, name: str, embeddings: str) -> None:
        self._calls, self._embedded = OpenCalls(rec, name), OpenCalls(rec, embeddings)
        self._outer: dict[str, tuple[object, bool]] = {}

    def embedding_begins(self, event_id: str) -> None:
        self._embedded.begin(event_id)

    def embedding_ends(self, event_id: str, error: Any, texts: int) -> None:
        self._embedded.end(event_id, error, texts or None)

    def llm_begins(self, event_id: str, *, is_chat: bool) -> None:
        around = (key for key, kind in self._outer.items() if kind == (_place(), not is_chat))
        if (made_of_this := next(around, None)) is not None:
            del self._outer[made_of_this]  # a call has one other inside
        else:
            self._calls.begin(event_id, 1)
            self._outer[event_id] = (_place(), is_chat)

    def llm_ends(self, event_id: str, error: Any) -> None:
        self._outer.pop(event_id, None)
        self._calls.end(event_id, error)


def _place() -> tuple[int, object]:
    """The thread, and the task of asyncio if there is one."""
    try:
        return threading.get_ident(), asyncio.current_task()
    except RuntimeError:
        return threading.get_ident(), None
