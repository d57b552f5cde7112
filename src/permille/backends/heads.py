"""A linear classification head on a sentence embedding, in JSON.

``{"format": "permille-head-1", "labels": [...], "weights": [[...], ...], "bias": [...],
"trained": {...}}``: ``weights`` is labels x dimensions, ``trained`` describes its training. The
label is the one with the largest weights · embedding + bias.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from permille.errors import ModelError
from permille.records import Record

MAX_HEAD_BYTES = 64 << 20


class Head(Record, forbid_unknown_fields=True):
    """A head: L labels, ``weights`` L x D, ``bias`` L."""

    format: Literal["permille-head-1"]
    labels: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]
    trained: dict[str, Any]

    @property
    def dimensions(self) -> int:
        """D, the length of its input embedding."""
        return len(self.weights[0])


def read(path: Path) -> Head:
    """The head in a file.

    Raises:
        ModelError: the file has another format, or its shapes do not match.
    """
    try:
        # Before it is decoded: as Python's numbers, it takes several times as much memory.
        if path.stat().st_size > MAX_HEAD_BYTES:
            raise ModelError(f"head {path}: larger than 64 MiB")
        head = msgspec.json.decode(path.read_bytes(), type=Head)
    except OSError as error:
        raise ModelError(f"head {path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise ModelError(f"head {path} is not a permille-head-1 file: {error}") from error
    rows = len(head.labels)
    if rows < 2 or len(set(head.labels)) < rows:
        raise ModelError(f"head {path}: needs two or more different labels")
    if len(head.weights) != rows or len(head.bias) != rows or not head.weights[0]:
        raise ModelError(f"head {path}: {rows} labels need as many weights and biases")
    if len({len(row) for row in head.weights}) > 1:
        raise ModelError(f"head {path}: rows of weights of different lengths")
    return head
