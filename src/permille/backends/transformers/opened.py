"""A model with its processor, ready for its device: from a folder, or a replica."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class OpenedModel:
    """A model ready for its device, with its tokenizer, image processor, or both. ``folder`` is
    where they were read from, or None. ``forced_tokens``: generate exactly this many tokens; None:
    until the model ends the answer."""

    processor: Any
    model: Any
    device: Any
    folder: str | None
    forced_tokens: int | None = None
