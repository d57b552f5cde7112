"""The header of a safetensors file: eight bytes of length, then JSON of names, types and shapes.

https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from pathlib import Path

from permille.weights import Header, UnreadableWeightsError, tensor

MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""


def read(path: Path) -> Header:
    """Names and sizes of the tensors.

    Raises:
        UnreadableWeightsError: the file is none, or is cut off.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= MAX_HEADER_BYTES:
            raise UnreadableWeightsError(f"{path} is not a safetensors file")
        try:
            header = json.loads(stream.read(length))
            tensors = [(n, t) for n, t in header.items() if n != "__metadata__"]
            found = tuple(tensor(n, t["shape"]) for n, t in tensors)
            end = max((int(t["data_offsets"][1]) for _, t in tensors), default=0)
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            raise UnreadableWeightsError(f"{path}: its safetensors header is damaged") from error
    size = path.stat().st_size
    if size != 8 + length + end:
        raise UnreadableWeightsError(
            f"{path} has {size:,} bytes, but its header says {8 + length + end:,}; "
            "it is cut off, or was not fetched whole"
        )
    return Header(tensors=found)
