"""Images as a model's own preprocessor_config.json asks, beside transformers' own processors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from permille.backends.preparing import from_config, layout, prepare
from permille.errors import ModelError

MEAN = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.6, 0.7]}


def image(width: int, height: int) -> Any:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(70, 40), (40, 70), (33, 33), (20, 90)])
@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("ViTImageProcessor", {"size": {"height": 32, "width": 24}, **MEAN}),
        ("CLIPImageProcessor", {"size": {"shortest_edge": 32}, "do_center_crop": True,
                                "crop_size": {"height": 24, "width": 28}, "resample": 3, **MEAN}),
        ("DeiTImageProcessor", {"size": {"height": 20, "width": 20}, "do_center_crop": True,
                                "crop_size": {"height": 24, "width": 23}, "resample": 3, **MEAN}),
        ("DetrImageProcessor", {"size": {"shortest_edge": 48, "longest_edge": 64}, **MEAN}),
        ("YolosImageProcessor", {"size": {"shortest_edge": 48, "longest_edge": 300}, **MEAN}),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 32}, "crop_pct": 0.875,
                                    "resample": 3, **MEAN}),
        ("CLIPImageProcessor", {"size": 32, "do_center_crop": True, "crop_size": 24,
                                "resample": 3, **MEAN}),
        ("DeiTImageProcessor", {"size": 32, "do_center_crop": True, "crop_size": 24,
                                "resample": 3, **MEAN}),
        ("BeitImageProcessor", {"size": 32, "do_center_crop": True, "crop_size": 24,
                                "resample": 3, **MEAN}),
        ("DetrImageProcessor", {"size": 48, "max_size": 64, **MEAN}),
        ("ConvNextImageProcessor", {"size": 32, "crop_pct": 0.875, "resample": 3, **MEAN}),
        ("MobileViTImageProcessor", {"size": 32, "do_center_crop": True, "crop_size": 24,
                                     "do_flip_channel_order": True, "resample": 3, **MEAN}),
        ("MobileViTImageProcessor", {"size": {"shortest_edge": 32}, "do_normalize": False,
                                     "do_center_crop": True, "do_flip_channel_order": True,
                                     "resample": 3,
                                     "crop_size": {"height": 24, "width": 24}}),
    ],
)  # fmt: skip
def test_as_transformers_does(kind: str, config: dict[str, Any], size: tuple[int, int]) -> None:
    transformers = pytest.importorskip("transformers")
    picture = image(*size)
    theirs = getattr(transformers, kind)(**config)(images=picture, return_tensors="np")
    ours = prepare(picture, from_config({"image_processor_type": kind, **config}, "x"))
    expected = theirs["pixel_values"][0]
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() < 1e-4


def test_nothing_asked_nothing_done() -> None:
    made = prepare(image(5, 4), from_config({"do_resize": False, "do_rescale": False}, "x"))
    assert made.shape == (3, 4, 5)
    assert made.max() > 1


def test_a_line_is_not_enlarged_to_gigabytes() -> None:
    line = Image.new("RGB", (400_000, 1))
    how = from_config({"size": {"shortest_edge": 224}, **MEAN}, "x")
    with pytest.raises(ModelError, match=r"400000×1 pixels would be resized to 89600000×224, too"):
        prepare(line, how)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "no usable 'size'"),
        ({"size": {"height": 10_000, "width": 1}}, "a size is not 1 to 4096"),
        ({"size": 32, "image_mean": [0.5], "image_std": [0.5]}, "three channels"),
        ({"size": 32, "image_mean": [0, 0, 0], "image_std": [0, 1, 1]}, "image_std is 0"),
        ({"size": 32, "do_image_splitting": True}, "do_image_splitting is not supported"),
        ({"size": 32, "image_processor_type": "LevitImageProcessor"}, "LevitImageProcessor is not"),
        ({"size": {"shortest_edge": 32}, "crop_pct": 0}, "no usable"),
        ({"size": {"shortest_edge": float("inf")}}, "no usable"),
    ],
)
def test_what_is_not_done_here_is_said(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        from_config(config, "x")


@pytest.mark.parametrize(
    ("shape", "where"),
    [
        (["batch", 3, "h", "w"], "channels first"),
        (["n", "c", "h", "w"], "channels first"),
        (["batch", 224, 224, 3], "channels last"),
        (["n", "h", "w", 3], "channels last"),
        (["batch", 1, 28, 28], None),
        (["batch", "tokens"], None),
    ],
)
def test_where_the_channels_are(shape: list[Any], where: Any) -> None:
    assert layout(shape) == where
