"""Facts from a model's files: sizes, total and active parameters, architecture.

Only headers are read, never weights. A count that cannot be certain (for packed quantised weights,
for example) is None.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from permille.records.cell import ModelFacts
from permille.weights.header import MOST_NUMBERS, Header, Tensor
from permille.weights.header import UnreadableWeightsError as UnreadableWeightsError

MAX_CONFIG_BYTES = 16 << 20

T = TypeVar("T")

# Names of the same number in the configurations of Mixtral, Qwen, DeepSeek and ERNIE.
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_USED = ("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_top_k", "top_k_experts")


def read(files: Iterable[Path], suffix: str) -> ModelFacts:
    """The facts of a model from its files, whose weights are those with ``suffix``
    (``.safetensors``, ``.onnx`` or ``.gguf``); unknown facts are None.

    ``size_bytes`` only covers the weights. In a mixture of experts, ``active_params`` are the
    parameters used for one token: all but the experts' plus the used share of the experts',
    ``num_experts_per_tok / num_local_experts`` (config.json) or ``expert_used_count /
    expert_count`` (GGUF).

    Raises:
        UnreadableWeightsError: a file is damaged, or not of the kind that its name indicates.
        OSError: a file cannot be read.
    """
    from permille.weights import gguf, onnx, safetensors

    reader = {".safetensors": safetensors.read, ".onnx": onnx.read, ".gguf": gguf.read}[suffix]
    there = sorted(files)
    weights = [file for file in there if file.suffix == suffix]
    if not weights:
        return ModelFacts()
    headers = [reader(file) for file in weights]
    config = _config(there)
    # Quantised safetensors pack several weights into one number: their shapes count too few.
    # GGUF states the packing of each tensor, and its reader counts the numbers inside.
    packed = suffix == ".safetensors" and "quantization_config" in config
    tensors = None if packed else _all_tensors(headers)
    params = sum(t.numbers for t in tensors) if tensors else None
    if params is not None and params > MOST_NUMBERS:
        raise UnreadableWeightsError(f"{weights[0]} says it has {params:g} parameters")
    return ModelFacts(
        params=params,
        active_params=_active(tensors, *_experts(headers, config)) if tensors else None,
        architecture=_first(h.architecture for h in headers) or _architecture(config),
        size_bytes=_size_bytes(there, weights),
    )


def _size_bytes(files: Sequence[Path], weights: Sequence[Path]) -> int:
    """The bytes of the weights, including those that a large ONNX model stores outside its graph,
    by convention in ``model.onnx_data`` (https://onnx.ai/onnx/repo-docs/ExternalData.html)."""
    beside = [file for file in files if ".onnx" in file.name and file not in weights]
    return sum(file.stat().st_size for file in [*weights, *beside])


def _experts(headers: Sequence[Header], config: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """(The number of experts, the number used per token): from the header of GGUF, otherwise from
    config.json."""
    experts = _first(h.experts for h in headers)
    used = _first(h.experts_used for h in headers)
    return experts or _number(config, _EXPERTS), used or _number(config, _USED)


def _first(values: Iterable[T | None]) -> T | None:
    """The first value; a file in several parts has it in one of them."""
    return next((value for value in values if value), None)


def _all_tensors(headers: Iterable[Header]) -> tuple[Tensor, ...] | None:
    """The tensors of all files together; None if one file cannot be counted."""
    tensors: list[Tensor] = []
    for header in headers:
        if header.tensors is None:
            return None
        tensors += header.tensors
    return tuple(tensors)


def _active(tensors: Iterable[Tensor], experts: int | None, used: int | None) -> int | None:
    """The parameters used for one token, or None without experts."""
    if not experts or not used or used > experts:
        return None
    total = chosen = 0
    for tensor in tensors:
        total += tensor.numbers
        # Shared experts are used for every token, and have other names: mlp.shared_experts
        # (DeepSeek), mlp.shared_expert (Qwen), ffn_up_shexp (llama.cpp).
        # Hub: model.layers.0.mlp.experts.3.w1 or …experts.gate_up_proj; llama.cpp: ffn_up_exps.
        if ".experts." in tensor.name or "_exps" in tensor.name:
            chosen += tensor.numbers
    return total - chosen + chosen * used // experts if chosen else None


def _config(files: Iterable[Path]) -> dict[str, Any]:
    """The model's config.json, or an empty object."""
    for file in files:
        if file.name == "config.json":
            try:
                with file.open("rb") as stream:
                    config = json.loads(stream.read(MAX_CONFIG_BYTES))
            except (ValueError, RecursionError) as error:
                raise UnreadableWeightsError(f"{file} is not JSON") from error
            return config if isinstance(config, dict) else {}
    return {}


def _number(config: Mapping[str, Any], names: Iterable[str]) -> int | None:
    """The first of ``names`` that is a whole number, in the config or in its text model's."""
    text = config.get("text_config")
    for place in (config, text if isinstance(text, dict) else {}):
        for name in names:
            value = place.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53:
                return value
    return None


def _architecture(config: Mapping[str, Any]) -> str | None:
    named = config.get("architectures")
    if isinstance(named, list) and named and isinstance(named[0], str):
        return named[0]
    kind = config.get("model_type")
    return kind if isinstance(kind, str) else None
