"""Encoded images to pixels and encoded recordings to samples, with the bounds of datasets.media;
which boxes in an image count."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from permille.datasets.media import IMAGES, MAX_PIXELS, MAX_SECONDS
from permille.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_SCORE = 0.05
"""Boxes below this score are left out, as in COCO's evaluations, which limits their number."""


def image(content: bytes) -> Any:
    """A decoded PIL image in RGB, turned as its EXIF says.

    Raises:
        ModelError: it has too many pixels, or cannot be decoded.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(content), formats=IMAGES) as opened:
            # By the header, before decoding: a few kB may become many GB (a decompression bomb).
            if opened.width * opened.height > MAX_PIXELS:
                raise ModelError(f"an image of {opened.width}×{opened.height} pixels, too many")
            # As transformers' load_image() does: without it, a phone's upright photo lies on its
            # side.
            turned = ImageOps.exif_transpose(opened)
            return (turned or opened).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ModelError(f"an image cannot be decoded: {error}") from error


def waveform(content: bytes, rate: int) -> NDArray[np.float32]:
    """Mono samples (T,) at ``rate`` Hz.

    Raises:
        ModelError: it is too long, or cannot be decoded.
    """
    import numpy as np
    import soundfile
    from scipy.signal import resample_poly

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            # By the header: silence takes so few bytes that a small FLAC file may hold days.
            if file.frames > MAX_SECONDS * file.samplerate:
                raise ModelError(f"a recording of over {MAX_SECONDS:g} s")
            own = int(file.samplerate)
            samples = file.read(dtype="float32", always_2d=True).mean(axis=1)
    except (soundfile.LibsndfileError, OSError) as error:
        raise ModelError(f"a recording cannot be decoded: {error}") from error
    if own != rate:
        # In lowest terms: the length of the filter grows with the larger of the two factors.
        shared = math.gcd(own, rate)
        samples = resample_poly(samples, rate // shared, own // shared)
    return np.ascontiguousarray(samples, dtype=np.float32)
