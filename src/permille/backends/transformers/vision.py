"""Classify or caption images, or detect objects. They are decoded and resized within the
inference."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from permille.backends.pixels import LEAST_SCORE, image
from permille.backends.transformers.base import TorchModel
from permille.errors import ModelError
from permille.workload.outputs import Output
from permille.workload.requests import Picture


class TorchVision(TorchModel):
    """Classifiers, detectors and captioners."""

    def run(self, requests: Sequence[Any]) -> Any:
        """One forward pass of all of them; a caption is generated."""
        if not all(isinstance(request, Picture) for request in requests):
            raise self.refuse(requests[0])
        images = [image(request.content) for request in requests]
        inputs = self.to_device(self.processor(images=images, return_tensors="pt"))
        sizes = [(picture.height, picture.width) for picture in images]
        mask = inputs.get("pixel_mask")
        if mask is not None and not bool(mask.all()) and not self._heeds_mask():
            raise ModelError(
                f"model {self.id!r}: images of different sizes are padded in a batch, which would "
                "move its boxes; batch_size = 1"
            )
        if self.task == "image-classification":
            return sizes, self.model(**inputs).logits.argmax(dim=-1)
        if self.task == "object-detection":
            outputs = self.model(**inputs)  # whose hidden states would fill the memory
            return sizes, SimpleNamespace(logits=outputs.logits, pred_boxes=outputs.pred_boxes)
        return sizes, self.write(inputs, requests[0].max_new_tokens)

    def outputs(self, raw: Any) -> list[Output]:
        """Convert numbers to names, boxes to pixels, tokens to text."""
        sizes, value = raw
        counted = [{"images": 1.0, "pixels": float(height * width)} for height, width in sizes]
        if self.task == "image-classification":
            names = self.model.config.id2label
            return [Output(label=names[int(v)], counted=c)
                    for v, c in zip(value, counted, strict=True)]  # fmt: skip
        if self.task == "object-detection":
            detections = self.processor.post_process_object_detection(
                value, threshold=LEAST_SCORE, target_sizes=sizes
            )
            return [Output(data=self._things(f), counted=c)
                    for f, c in zip(detections, counted, strict=True)]  # fmt: skip
        return [
            Output(text=text, tokens_out=count, counted=c)
            for (text, count), c in zip(self.written(value), counted, strict=True)
        ]

    def _heeds_mask(self) -> bool:
        return "pixel_mask" in inspect.signature(self.model.forward).parameters

    def _things(self, detections: Any) -> list[dict[str, Any]]:
        names = self.model.config.id2label
        things = []
        for score, label, box in zip(
            detections["scores"].tolist(),
            detections["labels"].tolist(),
            detections["boxes"].tolist(),
            strict=True,
        ):
            x0, y0, x1, y1 = box
            things.append(
                {"label": names[label], "score": score, "bbox": [x0, y0, x1 - x0, y1 - y0]}
            )
        return things
