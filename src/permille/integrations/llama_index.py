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

    A model whose chat is made of its completion, or the other way round, reports both, without
    saying that one is in the other; the second begins in the same thread and task before the first
    ends, and is no span of its own.

    Raises:
        UsageError: llama-index-core is not installed.
    """
    with extra("llama-index", "the callback for LlamaIndex"):
        from llama_index.core.callbacks.base_handler import BaseCallbackHandler
        from llama_index.core.callbacks.schema import CBEventType, EventPayload

    calls, embedded = OpenCalls(rec, name), OpenCalls(rec, embeddings)
    outer: dict[str, tuple[object, bool]] = {}

    class EnergyCallback(BaseCallbackHandler):  # type: ignore[misc]  # the library is optional
        def __init__(self) -> None:
            super().__init__(event_starts_to_ignore=[], event_ends_to_ignore=[])

        def on_event_start(
            self,
            event_type: Any,
            payload: dict[str, Any] | None = None,
            event_id: str = "",
            parent_id: str = "",
            **more: Any,
        ) -> str:
            if event_type == CBEventType.EMBEDDING:
                embedded.begin(event_id)
            if event_type != CBEventType.LLM:
                return event_id
            is_chat = EventPayload.MESSAGES in (payload or {})
            around = (key for key, kind in outer.items() if kind == (_place(), not is_chat))
            if (made_of_this := next(around, None)) is not None:
                del outer[made_of_this]  # a call has one other inside
            else:
                calls.begin(event_id, 1)
                outer[event_id] = (_place(), is_chat)
            return event_id

        def on_event_end(
            self,
            event_type: Any,
            payload: dict[str, Any] | None = None,
            event_id: str = "",
            **more: Any,
        ) -> None:
            payload = payload or {}
            error = payload.get(EventPayload.EXCEPTION)
            if event_type == CBEventType.EMBEDDING:
                embedded.end(event_id, error, len(payload.get(EventPayload.CHUNKS, ())) or None)
                return
            outer.pop(event_id, None)
            calls.end(event_id, error)

        def start_trace(self, trace_id: str | None = None) -> None:
            """Spans need no trace."""

        def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None:
            """Spans need no trace."""

    return EnergyCallback()


def _place() -> tuple[int, object]:
    """The thread, and the task of asyncio if there is one."""
    try:
        return threading.get_ident(), asyncio.current_task()
    except RuntimeError:
        return threading.get_ident(), None
