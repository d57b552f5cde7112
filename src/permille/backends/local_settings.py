"""The keys that every backend of weights in torch has in a study file."""

from __future__ import annotations

from typing import Literal

from permille.records import Record


class LocalSettings(Record, forbid_unknown_fields=True):
    """The keys common to ``transformers`` and ``diffusers``."""

    path: str | None = None
    """The model's folder; without one, the model comes from the Hub. Such as `"models/flan-t5"`."""
    weights: Literal["replica"] | None = None
    """`replica`: use random weights, for energy and time only. Such as `"replica"`."""
    architecture: str | None = None
    """For a replica: the model whose architecture to use, if the id does not say it. Such as
    `"bert-base-uncased"`."""
    device: str = "cpu"
    """The device to run on. Such as `"cuda:0"`."""
    batch_size: int = 1
    """Samples per batch. Such as `8`."""
    threads: int | None = None
    """CPU threads of the library; by default its own choice. Such as `2`."""
    allow_pickle: bool = False
    """Whether weights may be read from a pickle; the user must also give `--allow-pickle`. Such
    as `true`."""
