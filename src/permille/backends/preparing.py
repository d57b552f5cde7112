"""Convert an image to a vision model's input, as its ``preprocessor_config.json`` describes.

Supported: resize, centre crop, rescale, normalise, reversed channels. Anything else that would
change the numbers is refused by name. Defaults are those of the Hub for such a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from permille.datasets.media import MAX_PIXELS
from permille.errors import ModelError
from permille.records import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BILINEAR = 2
_MOST_EDGE = 4_096
_UNKNOWN = ("do_thumbnail", "do_align_long_axis", "do_split_image", "do_image_splitting")
_OWN_STEPS = ("EfficientNet", "Levit", "Perceiver")
"""Processors that do more than their configurations say: EfficientNet's divides by the deviations
twice, LeViT's enlarges the image before the crop, Perceiver's crops before it resizes."""
_SQUARE = ("Beit", "DeiT")
"""Processors for which a size that is one number is a square, even if they crop."""


class Preparation(Record):
    """``size``: (height, width), or the shortest edge and the limit of the longest, both rounded
    down to a multiple (YOLOS: 16). ``crop``: (height, width). ``scale``, ``mean`` and ``std``: (x *
    scale - mean) / std."""

    size: tuple[int, int] | None = None
    shortest: int | None = None
    longest: int | None = None
    multiple: int = 1
    crop: tuple[int, int] | None = None
    resample: int = _BILINEAR
    scale: float = 1.0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    reverse: bool = False


def from_config(config: dict[str, Any], where: str) -> Preparation:
    """The preparation that ``config`` describes; ``where`` is named in errors.

    Raises:
        ModelError: it requests an unsupported step, or has invalid numbers.
    """
    unknown = [key for key in _UNKNOWN if config.get(key)]
    if unknown or _kind(config).startswith(_OWN_STEPS):
        what = (unknown or [_kind(config)])[0]
        raise ModelError(f"{where}: {what} is not supported; try backend transformers")
    try:
        made = _described(config)
    # Also a division by a crop_pct of 0, and Infinity, which JSON does not have but Python reads.
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise ModelError(f"{where}: no usable {error}") from error
    edges = [*(made.size or ()), *(made.crop or ()), made.shortest or 1, made.longest or 1]
    if not all(1 <= edge <= _MOST_EDGE for edge in edges) or 0.0 in (made.std or ()):
        raise ModelError(f"{where}: a size is not 1 to {_MOST_EDGE}, or image_std is 0")
    return made


def _described(config: dict[str, Any]) -> Preparation:
    size, shortest, longest = _size(config) if config.get("do_resize", True) else (None,) * 3
    crop = _pair(config["crop_size"]) if config.get("do_center_crop") else None
    if shortest is not None and config.get("crop_pct") is not None:
        size, shortest, crop = _by_crop_share(shortest, float(config["crop_pct"]), crop)
    # MobileViT's models get no normalisation, but newer files of theirs have an image_mean.
    usual = not _kind(config).startswith("MobileViT")
    normalise = config.get("do_normalize", usual) and "image_mean" in config
    rescale = config.get("do_rescale", True)
    return Preparation(
        size=size,
        shortest=shortest,
        longest=longest,
        multiple=16 if _kind(config).startswith("Yolos") else 1,
        crop=crop,
        # The number of a filter in such a file is Pillow's own (Image.Resampling).
        resample=int(config.get("resample", _BILINEAR)),
        scale=float(config.get("rescale_factor", 1 / 255)) if rescale else 1.0,
        mean=_three(config["image_mean"]) if normalise else None,
        std=_three(config["image_std"]) if normalise else None,
        reverse=bool(config.get("do_flip_channel_order", False)),
    )


def _by_crop_share(
    shortest: int, share: float, crop: tuple[int, int] | None
) -> tuple[tuple[int, int] | None, int | None, tuple[int, int] | None]:
    """Size, shortest edge and crop of ConvNeXt's processor: below 384 pixels it enlarges the image
    and crops the centre; from 384 on it resizes to a square."""
    if shortest >= 384:
        return (shortest, shortest), None, crop
    return None, int(shortest / share), (shortest, shortest)


def prepare(image: Any, how: Preparation) -> NDArray[np.float32]:
    """A PIL image in RGB as 3 x height x width.

    Raises:
        ModelError: the resized image would have too many pixels.
    """
    import numpy as np

    target = how.size or _edges(image.height, image.width, how)
    if target is not None and target != (image.height, image.width):
        # Of a line one pixel high, the longer edge grows as much as the shorter: to many GB.
        if target[0] * target[1] > MAX_PIXELS:
            raise ModelError(
                f"an image of {image.width}×{image.height} pixels would be resized to"
                f" {target[1]}×{target[0]}, too many"
            )
        image = image.resize((target[1], target[0]), resample=how.resample)
    values = np.asarray(image, dtype=np.float32).transpose(2, 0, 1)
    if how.crop is not None:
        values = _centre(values, *how.crop)
    if how.reverse:
        values = values[::-1]
    values = values * np.float32(how.scale)
    if how.mean is not None and how.std is not None:
        mean, std = (np.array(v, dtype=np.float32)[:, None, None] for v in (how.mean, how.std))
        values = (values - mean) / std
    return np.ascontiguousarray(values, dtype=np.float32)


def _edges(height: int, width: int, how: Preparation) -> tuple[int, int] | None:
    """Height and width with ``shortest`` as the shorter, unless the longer would exceed
    ``longest``."""
    shortest, longest, multiple = how.shortest, how.longest, how.multiple
    if shortest is None:
        return None
    short, long = min(height, width), max(height, width)
    exact = float(shortest)
    if longest is not None and long / short * shortest > longest:
        exact = longest * short / long
    # Rounded as transformers' get_size_with_aspect_ratio() does: an image that is one pixel longer
    # is another input.
    edge = round(exact)
    other = long if edge == short else int(exact * long / short)
    edge, other = (max(1, value - value % multiple) for value in (edge, other))
    return (edge, other) if height <= width else (other, edge)


def _centre(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """The centre of C x H x W; outside its edges the values are 0."""
    import numpy as np

    grow = [max(0, height - values.shape[1]), max(0, width - values.shape[2])]
    # The odd pixel goes before the image, as in transformers' center_crop().
    pads = [(0, 0), *((-(-g // 2), g - -(-g // 2)) for g in grow)]
    values = np.pad(values, pads)
    top, left = (values.shape[1] - height) // 2, (values.shape[2] - width) // 2
    return values[:, top : top + height, left : left + width]


def _size(config: dict[str, Any]) -> tuple[tuple[int, int] | None, int | None, int | None]:
    size = config["size"]
    if isinstance(size, dict) and "shortest_edge" in size:
        longest = size.get("longest_edge")
        return None, int(size["shortest_edge"]), None if longest is None else int(longest)
    # Older files have one number, whose meaning is decided by the class that reads it: the edge of
    # a square, or the shortest edge where something then limits or crops the image.
    further = config.get("max_size") or config.get("do_center_crop") or config.get("crop_pct")
    if isinstance(size, int) and further and not _kind(config).startswith(_SQUARE):
        longest = config.get("max_size")
        return None, size, None if longest is None else int(longest)
    return _pair(size), None, None


def _kind(config: dict[str, Any]) -> str:
    return str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    return int(size["height"]), int(size["width"])


def _three(values: Any) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != 3:
        raise ValueError("image_mean and image_std of three channels")
    return numbers


Layout = Literal["channels first", "channels last"]


def layout(shape: list[Any]) -> Layout | None:
    """The position of the three channels in a model's input (batch, …), or None."""
    if len(shape) != 4:
        return None
    if shape[1] == 3 or (isinstance(shape[1], str) and shape[3] != 3):
        return "channels first"
    return "channels last" if shape[3] == 3 else None
