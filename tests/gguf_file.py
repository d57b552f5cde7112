"""A GGUF file without weights, written as its specification says."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any


def gguf(said: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    content = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(said))
    for key, value in said.items():
        content += _string(key) + _value(value)
    for name, shape in shapes.items():
        content += _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, 0)
    return content


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _string(value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    kind = 8 if isinstance(value[0], str) else 6
    items = b"".join(_string(v) if kind == 8 else struct.pack("<f", v) for v in value)
    return struct.pack("<IIQ", 9, kind, len(value)) + items
