"""The header of a GGUF file: key-value pairs, then names and shapes of the tensors.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

from permille.weights.header import Header, UnreadableWeightsError, tensor

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
"""Version 1 has lengths of 32 bits."""
_SIZES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MAX_STRING = 16 << 20
_MAX_ITEMS = 10_000_000
_MAX_TENSORS = 1_000_000
_MAX_HEADER_BYTES = 256 << 20
_MAX_READS = 6_000_000
"""The most reads of a header, which take some seconds. The largest vocabularies have half a million
words, of two reads each."""


def read(path: Path) -> Header:
    """The tensors (their number of elements, for any quantisation), architecture and experts.

    Raises:
        UnreadableWeightsError: the file is not GGUF, of another version, or truncated.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        if stream.read(4) != _MAGIC:
            raise UnreadableWeightsError(f"{path} is not a GGUF file")
        try:
            bounded: Any = _Bounded(stream)
            (version,) = _take(bounded, "I")
            if version in _VERSIONS:
                return _read(bounded)
        except (struct.error, ValueError, KeyError, UnicodeDecodeError) as error:
            raise UnreadableWeightsError(f"{path}: its GGUF header is damaged") from error
    # A big-endian file's version, read as little-endian.
    if version in {number << 24 for number in _VERSIONS}:
        raise UnreadableWeightsError(f"{path} is a big-endian GGUF file, which is not supported")
    raise UnreadableWeightsError(
        f"{path} is a GGUF file of version {version}; versions 2 and 3 are supported"
    )


class _Bounded:
    """A header's stream that stops at the largest size of a header: a sparse file may claim to have
    terabytes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._reads, self._bytes = _MAX_READS, _MAX_HEADER_BYTES

    def read(self, size: int) -> bytes:
        """The next bytes.

        Raises:
            ValueError: they exceed the limit.
        """
        self._reads -= 1
        self._bytes -= size
        if self._reads < 0 or self._bytes < 0:
            raise ValueError("more bytes than a header has")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int) -> int:
        """Skip bytes."""
        return self._stream.seek(offset, whence)


def _read(stream: BinaryIO) -> Header:
    tensors, pairs = _take(stream, "QQ")
    if tensors > _MAX_TENSORS or pairs > _MAX_TENSORS:
        raise ValueError("more tensors or values than a model has")
    facts: dict[str, Any] = {}
    for _ in range(pairs):
        name = _string(stream)
        (kind,) = _take(stream, "I")
        value = _value(stream, kind)
        if name.startswith("general.") or name.endswith((".expert_count", ".expert_used_count")):
            facts[name] = value
    read_tensors = []
    for _ in range(tensors):
        name = _string(stream)
        (dimensions,) = _take(stream, "I")
        if dimensions > 8:
            raise ValueError("a tensor of more than 8 dimensions")
        shape = _take(stream, f"{dimensions}Q")
        _take(stream, "IQ")  # its type and offset
        read_tensors.append(tensor(name, shape))
    architecture = facts.get("general.architecture")
    return Header(
        tensors=tuple(read_tensors),
        architecture=architecture if isinstance(architecture, str) else None,
        experts=_whole(facts.get(f"{architecture}.expert_count")),
        experts_used=_whole(facts.get(f"{architecture}.expert_used_count")),
    )


def _take(stream: BinaryIO, form: str) -> tuple[Any, ...]:
    form = f"<{form}"
    return struct.unpack(form, stream.read(struct.calcsize(form)))


def _string(stream: BinaryIO) -> str:
    (length,) = _take(stream, "Q")
    if length > _MAX_STRING:
        raise ValueError("a string of more than 16 MiB")
    content = stream.read(length)
    if len(content) < length:
        raise ValueError("the file ends within a string")
    return content.decode("utf-8", "replace")


def _value(stream: BinaryIO, kind: int) -> Any:
    """A value; arrays are skipped."""
    if kind == _STRING:
        return _string(stream)
    if kind != _ARRAY:
        return _take(stream, _SIZES[kind])[0]
    of, length = _take(stream, "IQ")
    if length > _MAX_ITEMS or of == _ARRAY:
        raise ValueError("an array that no model needs")
    if of == _STRING:
        for _ in range(length):
            _string(stream)
    else:
        stream.seek(length * struct.calcsize(_SIZES[of]), 1)
    return None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
