"""The initializers of an ONNX file, read from its protobuf without the onnx package.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3 (ModelProto.graph 7,
GraphProto.node 1 and .initializer 5, NodeProto.op_type 4, TensorProto.dims 1, .data_type 2,
.name 8). The wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from permille.weights.header import Header, Tensor, UnreadableWeightsError, tensor

_GRAPH, _NODE, _INITIALIZER = 7, 1, 5
_OP_TYPE = 4
_DIMS, _TYPE, _NAME, _EXTERNAL = 1, 2, 8, 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_MOST_FIELDS = 2_000_000
"""The most fields in a file, which take some seconds to read. A graph of 100,000 nodes has
fewer."""
_MOST_DIMS = 64
_NOT_WEIGHTS = {6, 7, 8, 9, 12, 13}
"""int32, int64, string, bool, uint32, uint64: shapes, indices and biases of integers. Numbers of
eight bits are not among them, because quantised weights are such."""
_PACKED = {b"MatMulNBits", b"MatMulBnb4", b"GatherBlockQuantized", b"QMoE"}
"""Operators of onnxruntime whose weights have several numbers per byte."""
_SCALES = ("_scale", "_zero_point", "_scales", "_zp")

_Bytes = memoryview
_T = TypeVar("_T")


def read(path: Path) -> Header:
    """The weights among the initializers, without scalars and the scales and zero points of a
    quantised model. If bytes hold several numbers each, ``tensors`` is None.

    Raises:
        UnreadableWeightsError: the file is not an ONNX model, or is truncated.
        OSError: it cannot be read.
    """
    header = _opened(path, _model)
    if header is None:
        raise UnreadableWeightsError(f"{path} contains no ONNX graph")
    return header


def external(path: Path) -> list[str]:
    """The names of the separate files in which the model stores weights; none if it is not an ONNX
    file, which :func:`read` reports."""
    try:
        return sorted(_opened(path, _locations))
    except (UnreadableWeightsError, OSError):
        return []


def _opened(path: Path, look: Callable[[_Bytes, _Budget], _T]) -> _T:
    try:
        with path.open("rb") as stream:
            # Mapped, because the weights may be 2 GB in the middle of the file, and are skipped.
            # The map is closed with its last slice, which an exception may keep alive for a while.
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        return look(memoryview(mapped), _Budget())
    except (ValueError, IndexError) as error:
        raise UnreadableWeightsError(f"{path} is not a complete ONNX file: {error}") from error


class _Budget:
    """The number of fields of a file that may still be read: a file of many GB may consist entirely
    of two-byte fields."""

    def __init__(self) -> None:
        self._left = _MOST_FIELDS

    def spend(self) -> None:
        """Count one.

        Raises:
            ValueError: there are more than any model has.
        """
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"more than {_MOST_FIELDS:,} fields")


def _graph(content: _Bytes, budget: _Budget) -> _Bytes | None:
    graph = next((value for field, value in _fields(content, budget) if field == _GRAPH), None)
    return graph if isinstance(graph, memoryview) else None


def _locations(content: _Bytes, budget: _Budget) -> set[str]:
    graph = _graph(content, budget)
    locations = set()
    for field, initializer in _fields(graph, budget) if graph is not None else ():
        if field != _INITIALIZER or not isinstance(initializer, memoryview):
            continue
        for part, entry in _fields(initializer, budget):
            if part == _EXTERNAL and isinstance(entry, memoryview):
                pair = {f: bytes(v) for f, v in _fields(entry, budget) if not isinstance(v, int)}
                if pair.get(_ENTRY_KEY) == b"location":
                    locations.add(pair.get(_ENTRY_VALUE, b"").decode("utf-8", "replace"))
    return {name for name in locations if name and "\0" not in name}


def _model(content: _Bytes, budget: _Budget) -> Header | None:
    graph = _graph(content, budget)
    if graph is None:
        return None
    tensors = []
    packed = False
    for field, value in _fields(graph, budget):
        if not isinstance(value, memoryview):
            continue
        if field == _NODE:
            packed = packed or any(
                f == _OP_TYPE and _is_packed(v) for f, v in _fields(value, budget)
            )
        elif field == _INITIALIZER and (weight := _tensor(value, budget)) is not None:
            tensors.append(weight)
    return Header(tensors=None if packed else tuple(tensors))


def _is_packed(operator: int | _Bytes) -> bool:
    return isinstance(operator, memoryview) and bytes(operator) in _PACKED


def _tensor(content: _Bytes, budget: _Budget) -> Tensor | None:
    """An initializer, or None if it is not a weight."""
    dims: list[int] = []
    kind, name = 0, ""
    for field, value in _fields(content, budget):
        if field == _DIMS:
            # A repeated number may be packed or not, and a parser must accept both
            # (https://protobuf.dev/programming-guides/encoding/#packed).
            dims += [value] if isinstance(value, int) else _varints(value)
            if len(dims) > _MOST_DIMS:
                raise ValueError(f"a tensor of more than {_MOST_DIMS} dimensions")
        elif field == _TYPE and isinstance(value, int):
            kind = value
        elif field == _NAME and isinstance(value, memoryview):
            name = bytes(value).decode("utf-8", "replace")
    if not dims or kind in _NOT_WEIGHTS or name.endswith(_SCALES):
        return None
    return tensor(name, dims)


def _fields(content: _Bytes, budget: _Budget) -> Iterator[tuple[int, int | _Bytes]]:
    """Field numbers and values of a message; values of fixed width are bytes."""
    at = 0
    while at < len(content):
        budget.spend()
        key, at = _varint(content, at)
        kind = key & 7
        if not key >> 3:
            raise ValueError("a field number that protobuf does not have")
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
    numbers, at = [], 0
    if len(content) > _MOST_DIMS * 10:
        raise ValueError(f"a tensor of more than {_MOST_DIMS} dimensions")
    while at < len(content):
        value, at = _varint(content, at)
        numbers.append(value)
    return numbers
