"""LangChain: a callback whose spans are the calls of a model.

::

    with permille.record() as rec:
        chain.invoke(question, config={"callbacks": [energy_callback(rec)]})
    print(rec["llm"].kwh_per_1000)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from permille.api.session import Session
from permille.extras import extra
from permille.integrations.open_calls import OpenCalls

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler


def energy_callback(rec: Session, *, name: str = "llm") -> BaseCallbackHandler:
    """A callback handler: each call of a language model or chat model is a span with the number of
    its prompts. A streamed answer is a span until its end. An error of the handler, for example
    that the recording has not begun, is raised by the chain.

    Raises:
        UsageError: langchain-core is not installed.
    """
    with extra("langchain", "the callback for LangChain"):
        from langchain_core.callbacks import BaseCallbackHandler

    calls = OpenCalls(rec, name)

    class EnergyCallback(BaseCallbackHandler):  # type: ignore[misc]  # the library is optional
        # LangChain only logs what a handler raises otherwise, and the energy would be missing.
        raise_error = True

        def on_llm_start(
            self, serialized: Any, prompts: list[str], *, run_id: Any, **more: Any
        ) -> None:
            calls.begin(str(run_id), len(prompts))

        def on_chat_model_start(
            self, serialized: Any, messages: list[Any], *, run_id: Any, **more: Any
        ) -> None:
            calls.begin(str(run_id), len(messages))

        def on_llm_end(self, response: Any, *, run_id: Any, **more: Any) -> None:
            calls.end(str(run_id))

        def on_llm_error(self, error: BaseException, *, run_id: Any, **more: Any) -> None:
            calls.end(str(run_id), error)

    return EnergyCallback()
