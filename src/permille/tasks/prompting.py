"""Prompts with placeholders, limits on generated tokens, and sums of counts. Pure."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence

from permille.errors import ModelError
from permille.workload.outputs import Output
from permille.workload.specs import ModelSpec

MOST_TOKENS = 100_000


def fill(prompt: str, values: Mapping[str, str]) -> str:
    """``prompt`` with each ``{name}`` of ``values`` replaced in one pass: a value that contains a
    placeholder, or any other brace, is not changed."""
    pattern = "|".join(re.escape(f"{{{name}}}") for name in values)
    return re.sub(pattern, lambda found: values[found.group()[1:-1]], prompt) if values else prompt


def check_prompt(model: ModelSpec, inputs: Sequence[str], example: str) -> None:
    """Check that a general-purpose model has a prompt, and that any prompt uses every input.

    Raises:
        ModelError: it does not; the message shows ``example``.
    """
    if model.prompt is None and model.category == "task-specific":
        return
    lacking = [f"{{{name}}}" for name in inputs if f"{{{name}}}" not in (model.prompt or "")]
    if lacking:
        raise ModelError(
            f"model {model.id!r} needs a prompt with {' and '.join(lacking)} in it, such as "
            f'prompt = "{example}"'
        )


def limit(model: ModelSpec, default: int) -> int:
    """The limit of tokens to generate: the model's ``max_new_tokens``, or the task's default.

    Raises:
        ModelError: it is not 1 to 100,000.
    """
    given = model.settings.get("max_new_tokens")
    if given is None:
        return default
    if not isinstance(given, int) or not 1 <= given <= MOST_TOKENS:
        raise ModelError(f"model {model.id!r}: max_new_tokens must be 1 to {MOST_TOKENS:,}")
    return given


def check_installed(task: str, modules: Sequence[str]) -> None:
    """Check that the libraries that score ``task`` are installed.

    Raises:
        ModelError: one is not; the message has the command that installs it.
    """
    lacking = [name for name in modules if importlib.util.find_spec(name) is None]
    if lacking:
        raise ModelError(
            f"{task} is scored with {', '.join(lacking)}: pip install 'permille[quality]'"
        )


def token_counts(outputs: Sequence[Output]) -> dict[str, float]:
    """``tokens_in`` and ``tokens_out`` over all outputs, if all are known; of these,
    ``tokens_cached`` and ``tokens_reasoning`` as far as they are known; ``reasoned``, the answers
    with any reasoning. Reasoning of unknown length leaves ``tokens_reasoning`` out."""
    sums: dict[str, float] = {}
    # Servers such as vLLM omit these counts if they are zero, so the sum is over the known ones.
    for name in ("tokens_cached", "tokens_reasoning"):
        stated = [v for o in outputs if (v := getattr(o, name)) is not None]
        if stated:
            sums[name] = float(sum(stated))
    uncounted = {o.tokens_reasoning is None for o in outputs if o.reasoned}
    if uncounted:
        sums["reasoned"] = float(sum(o.reasoned for o in outputs))
    if True in uncounted:
        sums.pop("tokens_reasoning", None)
    for name in ("tokens_in", "tokens_out"):
        known = [v for o in outputs if (v := getattr(o, name)) is not None]
        if known and len(known) == len(outputs):
            sums[name] = float(sum(known))
    return sums
