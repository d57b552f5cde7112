"""The backend's keys in a study file."""

from __future__ import annotations

from typing import Literal

from permille.backends.local_settings import LocalSettings


class Settings(LocalSettings, forbid_unknown_fields=True):
    """The keys of a ``[[models]]`` table with this backend."""

    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """The floating-point type. Such as `"float16"`."""
    steps: int | None = None
    """Denoising steps; the default is the pipeline's own. Such as `20`."""
    height: int | None = None
    """Pixels; the pipeline's own if not given. Such as `512`."""
    width: int | None = None
    """Pixels; the pipeline's own if not given. Such as `512`."""
    guidance: float | None = None
    """The guidance scale; the default is the pipeline's own. Such as `7.5`."""
