"""Small real ONNX models, written field by field (onnx.proto, IR version 8, opset 13)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

_FLOAT, _INT64 = 1, 7


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _tensor(name: str, values: np.ndarray) -> bytes:
    dims = b"".join(_field(1, size) for size in values.shape)
    return dims + _field(2, _FLOAT) + _field(8, name) + _field(9, values.astype("<f4").tobytes())


def _value(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(
        _field(1, _field(1, size) if isinstance(size, int) else _field(2, size)) for size in shape
    )
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, dims)))


def _node(kind: str, inputs: Sequence[str], output: str, attributes: bytes = b"") -> bytes:
    names = b"".join(_field(1, name) for name in inputs)
    return names + _field(2, output) + _field(4, kind) + attributes


def _ints(name: str, values: Sequence[int]) -> bytes:
    return _field(5, _field(1, name) + b"".join(_field(8, v) for v in values) + _field(20, 7))


def _int(name: str, value: int) -> bytes:
    return _field(5, _field(1, name) + _field(3, value) + _field(20, 2))


def write(
    folder: Path,
    table: Sequence[Sequence[float]],
    *,
    pooled: bool,
    input_name: str = "input_ids",
    output_name: str = "last_hidden_state",
) -> Path:
    """``model.onnx`` in ``folder``: row ``i`` of ``table`` for token ``i``; with ``pooled``, their
    mean over the tokens as ``logits`` (batch x width), else ``output_name``."""
    values = np.array(table)
    width = values.shape[1]
    nodes = [_node("Gather", ["table", input_name], "rows", _int("axis", 0))]
    if pooled:
        axes = _ints("axes", [1]) + _int("keepdims", 0)
        nodes.append(_node("ReduceMean", ["rows"], "logits", axes))
        out = _value("logits", _FLOAT, ["batch", width])
    else:
        nodes.append(_node("Identity", ["rows"], output_name))
        out = _value(output_name, _FLOAT, ["batch", "tokens", width])
    graph = b"".join(_field(1, node) for node in nodes)
    graph += _field(2, "tiny") + _field(5, _tensor("table", values))
    graph += _field(11, _value(input_name, _INT64, ["batch", "tokens"])) + _field(12, out)
    model = _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13))
    path = folder / "model.onnx"
    path.write_bytes(model)
    return path


def write_tokenizer(folder: Path, words: Sequence[str], *, pad_to: int | None = None) -> Path:
    """``tokenizer.json``: word ``i`` is token ``i``; the first is for unknown words."""
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(words)}, unk_token=words[0]))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    if pad_to is not None:
        tokenizer.enable_padding(length=pad_to, pad_id=0, pad_token=words[0])
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path
