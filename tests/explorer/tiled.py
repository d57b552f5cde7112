"""A page of as many cells as are asked for: those of the shipped study over and over."""

from __future__ import annotations

from typing import Any

from permille.explorer.figures import everything


def tiled(count: int) -> dict[str, Any]:
    """The shipped study's document with ``count`` cells, each repetition a little dearer."""
    sent: dict[str, Any] = dict(everything(None)[1])
    columns, known = sent["cells"]["columns"], sent["cells"]["count"]
    tiles = {name: _column(name, packed, count, known) for name, packed in columns.items()}
    return sent | {"cells": {"count": count, "columns": tiles}, "answers": {}, "studies": []}


def _column(name: str, packed: Any, count: int, known: int) -> Any:
    if isinstance(packed, list):
        dearer = count if name.endswith(("_mean", "_low", "_high")) else 0
        return [
            value if value is None or not dearer else value * (1 + i / dearer)
            for i, value in ((i, packed[i % known]) for i in range(count))
        ]
    if "at" not in packed:  # the same for all, or as another
        return packed
    of, at = packed["of"], [packed["at"][i % known] for i in range(count)]
    if name in ("id", "model"):
        return {"of": [f"{of[k]} {i // known}" for i, k in enumerate(at)], "at": list(range(count))}
    return {"of": of, "at": at}
