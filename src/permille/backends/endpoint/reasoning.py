"""How much a model reasons before it answers, in the form that its server knows. Pure.

OpenAI's API, Ollama and others have ``reasoning_effort``, with ``none`` for no reasoning. vLLM,
SGLang and llama.cpp pass ``chat_template_kwargs`` to the model's own chat template:
``enable_thinking`` (Qwen, GLM, Gemma) or ``thinking`` (DeepSeek, Granite) switches it, and
templates with levels read ``reasoning_effort``. Templates ignore what they do not know.
"""

from __future__ import annotations

from typing import Any, Literal

from permille.errors import InferenceError
from permille.workload.outputs import Output

Reasoning = Literal["off", "low", "medium", "high"]
OFF: Reasoning = "off"
_TEMPLATES = frozenset({"vllm", "sglang", "llamacpp", "llama.cpp"})
"""Servers, by the owner of their models, whose requests may have ``chat_template_kwargs``."""


def reasoning_fields(reasoning: Reasoning, owner: str | None) -> dict[str, Any]:
    """The fields of each request."""
    if owner not in _TEMPLATES:
        return {"reasoning_effort": "none" if reasoning == OFF else reasoning}
    if reasoning == OFF:
        # Not also reasoning_effort: older versions refuse the value "none".
        return {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}
    switches = {"enable_thinking": True, "thinking": True}
    return {
        "reasoning_effort": reasoning,
        "chat_template_kwargs": {**switches, "reasoning_effort": reasoning},
    }


def check_off(at: str, output: Output) -> None:
    """Check that an answer that should have no reasoning has none.

    Raises:
        InferenceError: it has, so that its energy would be that of another setting.
    """
    if output.reasoned:
        raise InferenceError(
            f'{at}: the answer has reasoning in spite of reasoning = "off": this server or model'
            " needs another way; remove the setting, and put that into extra"
        )
