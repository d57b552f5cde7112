"""Facts from a model's own JSON files: its classes, its mask token, its image preprocessing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_MAX_BYTES = 16 << 20
BYTE_LEVEL = ("roberta", "longformer", "gpt2", "bloom", "deberta", "bart")
"""Architectures whose tokenizers have other tokens for a word after a blank than for one without.
Words that come separately each need a blank, or their tokens are not those of a text
(``add_prefix_space`` in https://huggingface.co/docs/transformers/model_doc/roberta)."""


def read(file: Path) -> dict[str, Any] | None:
    """The object in a JSON file, or None if it cannot be read."""
    try:
        with file.open("rb") as stream:
            content = json.loads(stream.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def class_names(config: Path, *, unique: bool = True) -> tuple[str, ...] | None:
    """The names under ``id2label``, keyed "0" to "n-1", or None. ``unique``: all different, and
    two at least."""
    names = (read(config) or {}).get("id2label")
    if not isinstance(names, dict):
        return None
    values = [names.get(str(number)) for number in range(len(names))]
    labels = tuple(value for value in values if isinstance(value, str) and value)
    whole = len(labels) == len(values) >= 1
    if unique:
        whole = whole and len(labels) >= 2 and len(set(labels)) == len(labels)
    return labels if whole else None


def mask_token(folder: Path) -> str | None:
    """The mask token, from the tokenizer's files."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        mask = (read(folder / name) or {}).get("mask_token")
        # A token with rules of its own is a table (RoBERTa's takes the blank before it), others are
        # a text.
        if isinstance(mask, dict):
            mask = mask.get("content")
        if isinstance(mask, str) and mask:
            return mask
    return None
