"""The initializers of an ONNX file, read from its protobuf without the onnx package.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3 (ModelProto.graph 7,
GraphProto.node 1 and .initializer 5, NodeProto.op_type 4, TensorProto.dims 1, .data_type 2,
.name 8). The wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from permille.weights import Header, Tensor, UnreadableWeightsError, tensor

_GRAPH, _NODE, _INITIALIZER = 7, 1, 5
_OP_TYPE = 4
_DIMS, _TYPE, _NAME = 1, 2, 8
_NOT_WEIGHTS = {6, 7, 8, 9, 12, 13}
"""int32, int64, string, bool, uint32, uint64: shapes, indices and biases of integers."""
_PACKED = {b"MatMulNBits", b"MatMulBnb4", b"GatherBlockQuantized", b"QMoE"}
"""Operators of onnxruntime whose weights hold several numbers a byte."""
_SCALES = ("_scale", "_zero_point", "_scales", "_zp")

_Bytes = memoryview


def read(path: Path) -> Header:
    """The weights among the initializers. Scalars, and the scales and zero points of a quantised
    model, are none;
    where several numbers lie in a byte, ``tensors`` is None.

    Raises:
        UnreadableWeightsError: the file is no ONNX model, or is cut off.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            # Closed with its last slice, which an exception may hold for a while.
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        header = _model(memoryview(mapped))
    except (ValueError, IndexError) as error:
        raise UnreadableWeightsError(f"{path} is not a whole ONNX file") from error
    if header is None:
        raise UnreadableWeightsError(f"{path} holds no ONNX graph")
    return header


def _model(content: _Bytes) -> Header | None:
    graph = next((value for field, value in _fields(content) if field == _GRAPH), None)
    if not isinstance(graph, memoryview):
        return None
    tensors = []
    packed = False
    for field, value in _fields(graph):
        if not isinstance(value, memoryview):
            continue
        if field == _NODE:
            packed = packed or any(f == _OP_TYPE and _is_packed(v) for f, v in _fields(value))
        elif field == _INITIALIZER and (found := _tensor(value)) is not None:
            tensors.append(found)
    return Header(tensors=None if packed else tuple(tensors))


def _is_packed(operator: int | _Bytes) -> bool:
    return isinstance(operator, memoryview) and bytes(operator) in _PACKED


def _tensor(content: _Bytes) -> Tensor | None:
    """An initializer, or None for one that is no weight."""
    dims: list[int] = []
    kind, name = 0, ""
    for field, value in _fields(content):
        if field == _DIMS:
            dims += [value] if isinstance(value, int) else _varints(value)
        elif field == _TYPE and isinstance(value, int):
            kind = value
        elif field == _NAME and isinstance(value, memoryview):
            name = bytes(value).decode("utf-8", "replace")
    if not dims or kind in _NOT_WEIGHTS or name.endswith(_SCALES):
        return None
    return tensor(name, dims)


def _fields(content: _Bytes) -> Iterator[tuple[int, int | _Bytes]]:
    """Field numbers and values of a message; a value of fixed width is given as its bytes."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        if kind == 2:
            length, at = _varint(content, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError("a wire type that protobuf does not have")
        if at + length > len(content):
            raise ValueError("the file ends within a field")
        yield key >> 3, content[at : at + length]
        at += length


def _varint(content: _Bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _varints(content: _Bytes) -> list[int]:
    found, at = [], 0
    while at < len(content):
        value, at = _varint(content, at)
        found.append(value)
    return found
