"""The header of a safetensors file: eight bytes of length, then JSON of names, types and shapes.

https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from permille.weights.header import Header, UnreadableWeightsError, tensor

MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""

_Size = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""The largest number accepted: one with a million digits takes minutes to multiply."""


class _Entry(msgspec.Struct):
    """The entry of a tensor; other keys are ignored."""

    shape: Annotated[list[_Size], msgspec.Meta(max_length=64)]
    data_offsets: tuple[_Size, _Size]


def read(path: Path) -> Header:
    """Names and sizes of the tensors.

    Raises:
        UnreadableWeightsError: the file is not safetensors, or is truncated.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        # The shortest header is an empty object, {}.
        if not 2 <= length <= MAX_HEADER_BYTES:
            raise UnreadableWeightsError(f"{path} is not a safetensors file")
        try:
            # Entry by entry, because __metadata__ has another shape than the tensors.
            header = msgspec.json.decode(stream.read(length), type=dict[str, msgspec.Raw])
            header.pop("__metadata__", None)
            entries = {n: msgspec.json.decode(raw, type=_Entry) for n, raw in header.items()}
            tensors = tuple(tensor(n, e.shape) for n, e in entries.items())
            end = max((e.data_offsets[1] for e in entries.values()), default=0)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise UnreadableWeightsError(f"{path}: its safetensors header is damaged") from error
    size = path.stat().st_size
    if size != 8 + length + end:
        raise UnreadableWeightsError(
            f"{path} has {size:,} bytes, but its header says {8 + length + end:,}; "
            "it is cut off, or was not fetched whole"
        )
    return Header(tensors=tensors)
