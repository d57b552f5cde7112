"""Classify images with ONNX models, or detect objects in them, one image at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from permille.backends import files, model_config
from permille.backends.onnx.session import OnnxSession, shapes
from permille.backends.pixels import LEAST_SCORE, image
from permille.backends.preparing import Preparation, from_config, layout, prepare
from permille.errors import ModelError
from permille.records.cell import ModelFacts
from permille.workload.outputs import Output
from permille.workload.requests import Picture

_CONFIG = "preprocessor_config.json"
_SOFTMAX = ("detr", "yolos", "table-transformer")
"""Architectures whose detections are one softmax over the classes and "no object"."""


class OnnxVision:
    """A loaded classifier or detector. A detector is a DETR or YOLOS model: it outputs
    ``logits`` (queries x classes, the last of which is "no object") and ``pred_boxes`` (centre x
    and y, width, height, as shares of the image's).

    Raises:
        ModelError: the files are damaged, or are another kind of model.
    """

    device = "cpu"

    def __init__(
        self, model_id: str, task: str, file: Path, classes: tuple[str, ...], threads: int | None
    ) -> None:
        self._id, self._task, self._classes = model_id, task, classes
        self._how = preparation(model_id, file)
        self._session = OnnxSession(model_id, file, threads)
        self._input, self._masked = self._declared()
        self._last = layout(self._session.inputs[self._input]) == "channels last"
        self._outputs = self._named()

    @property
    def facts(self) -> ModelFacts:
        """The bytes of the model."""
        return self._session.facts

    def infer(self, request: Any) -> Any:
        """Decode, prepare and run one image; returns (its pixels, the model's outputs)."""
        import numpy as np

        if not isinstance(request, Picture):
            raise ModelError(
                f"backend onnx does not support a {type(request).__name__} request here"
            )
        picture = image(request.content)
        values = prepare(picture, self._how)[None]
        feed = {self._input: values}
        if self._masked is not None:
            # All of it: a mask marks the padding of a batch, and one image has none.
            feed[self._masked] = np.ones((1, *values.shape[2:]), dtype=np.int64)
        if self._last:
            feed[self._input] = np.ascontiguousarray(values.transpose(0, 2, 3, 1))
        outputs = [value[0] for value in self._session.run(self._outputs, feed)]
        if self._task == "image-classification":
            return picture.size, int(outputs[0].argmax())
        return picture.size, outputs

    def read(self, raw: Any) -> Output:
        """Convert numbers to names, boxes to pixels."""
        (width, height), value = raw
        counted = {"images": 1.0, "pixels": float(width * height)}
        if self._task == "image-classification":
            if value >= len(self._classes):
                raise ModelError(
                    f"model {self._id!r} answers class {value}, but {len(self._classes)} are named"
                )
            return Output(label=self._classes[value], counted=counted)
        return Output(data=self._things(value, width, height), counted=counted)

    def close(self) -> None:
        """Release the session."""
        del self._session

    def _declared(self) -> tuple[str, str | None]:
        """The names of the image's input and of its mask's, if it has one."""
        inputs = self._session.inputs
        images = [name for name, shape in inputs.items() if layout(shape) is not None]
        masks = [name for name in inputs if name == "pixel_mask"]
        if len(images) != 1 or len(inputs) != 1 + len(masks):
            raise ModelError(
                f"model {self._id!r} takes {shapes(inputs)}; a vision model takes one image of "
                "three channels, and a pixel_mask if it wants"
            )
        return images[0], masks[0] if masks else None

    def _named(self) -> list[str]:
        if self._task == "object-detection":
            self._session.needed("logits", "pred_boxes")
            return ["logits", "pred_boxes"]
        return [self._session.logits(self._classes)]

    def _things(self, outputs: list[Any], width: int, height: int) -> list[dict[str, Any]]:
        import numpy as np

        logits, boxes = outputs

        # Less the largest, because exp() of a number above 88 is infinite in float32.
        grown = np.exp(logits - logits.max(axis=-1, keepdims=True))
        shares = (grown / grown.sum(axis=-1, keepdims=True))[:, :-1]  # the last is "no object"
        labels, scores = shares.argmax(axis=-1), shares.max(axis=-1)
        things = []
        for label, score, (x, y, w, h) in zip(labels, scores, boxes.astype(float), strict=True):
            if score > LEAST_SCORE and label < len(self._classes):
                box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
                things.append({"label": self._classes[label], "score": float(score), "bbox": box})
        return things


def check_detector(model_id: str, file: Path) -> None:
    """Check that a detector's outputs have a supported meaning.

    Raises:
        ModelError: ``config.json`` names another architecture, or none.
    """
    path = files.folder_of(file) / "config.json"
    kind = (model_config.read(path) or {}).get("model_type")
    if kind not in _SOFTMAX:
        raise ModelError(
            f"model {model_id!r}: {path} says model_type {kind!r}; backend onnx reads the "
            f"detections of {', '.join(_SOFTMAX)}; try backend transformers"
        )


def preparation(model_id: str, file: Path) -> Preparation:
    """The preparation of images described by ``preprocessor_config.json`` next to the model.

    Raises:
        ModelError: it cannot be read, or requests an unsupported step.
    """
    path = files.folder_of(file) / _CONFIG
    config = model_config.read(path)
    if config is None:
        raise ModelError(
            f"model {model_id!r}: no usable {path}, which says how images are resized and "
            "normalised; copy it from where the model comes from"
        )
    return from_config(config, f"model {model_id!r}: {path}")
