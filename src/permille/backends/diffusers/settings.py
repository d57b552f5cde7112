"""The keys that a study file may give this backend."""

from __future__ import annotations

from typing import Literal

from permille.records import Record


class Settings(Record, forbid_unknown_fields=True):
    """The keys of a ``[[models]]`` table with this backend."""

    path: str | None = None
    """The model's folder; without one, the model comes from the Hub. Such as `"models/flan-t5"`."""
    weights: Literal["replica"] | None = None
    """`replica`: random weights, for energy and time alone. Such as `"replica"`."""
    architecture: str | None = None
    """Of a replica: the model whose architecture is meant, where the id does not say it. Such as
    `"bert-base-uncased"`."""
    device: str = "cpu"
    """Where it runs. Such as `"cuda:0"`."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """The numbers' type; as the files say, if not given. Such as `"float16"`."""
    steps: int | None = None
    """Denoising steps; the pipeline's own if not given. Such as `20`."""
    height: int | None = None
    """Pixels; the pipeline's own if not given. Such as `512`."""
    width: int | None = None
    """Pixels; the pipeline's own if not given. Such as `512`."""
    guidance: float | None = None
    """The guidance scale; the pipeline's own if not given. Such as `7.5`."""
    batch_size: int = 1
    """Samples that go through at once. Such as `8`."""
    threads: int | None = None
    """Threads of the library on a CPU; its own choice if not given. Such as `2`."""
    allow_pickle: bool = False
    """Whether weights may be read from a pickle; the user must say `--allow-pickle` as well. Such
    as `true`."""
