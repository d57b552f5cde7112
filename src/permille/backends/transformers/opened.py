"""A model with its processor, ready for its device: from a folder, or a replica."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class OpenedModel:
    """A model ready for its device, and what makes its inputs: a tokenizer, an image processor, or
    both. ``folder`` is where they were read, None if nowhere. ``forced_tokens``: what is generated
    is exactly this long, whatever the model says; None: until it ends."""

    processor: Any
    model: Any
    device: Any
    folder: str | None
    forced_tokens: int | None = None
