"""text-classification in ONNX, in two forms: a classifier, or an encoder with a linear head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from permille.backends import heads
from permille.backends.onnx.session import shapes
from permille.backends.onnx.text import TextModel, embedding
from permille.errors import ModelError
from permille.records.cell import ModelFacts
from permille.workload.outputs import Output
from permille.workload.requests import Text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Classifier:
    """A loaded classifier, of either form."""

    device = "cpu"

    def __init__(
        self,
        model_id: str,
        model: TextModel,
        labels: tuple[str, ...],
        head_path: str | None,
    ) -> None:
        self._id, self._model, self.labels = model_id, model, labels
        self._head = _load_head(head_path)
        if self._head is None:
            hint = "; give head_path for an encoder"
            self._output = model.session.logits(labels, hint)
        else:
            self._output = _embeddings(model_id, model.outputs, self._head[0].shape[1])

    @property
    def facts(self) -> ModelFacts:
        """The bytes of the model."""
        return self._model.session.facts

    def infer(self, request: Any) -> Any:
        """Classify one text; returns (the class's number, the number of tokens)."""
        if not isinstance(request, Text):
            raise ModelError(f"backend onnx does not support a {type(request).__name__} request")
        values, mask = self._model.run(request.text, self._output)
        if self._head is not None:
            weights, bias = self._head
            values = weights @ embedding(values, mask) + bias
        if values.shape != (len(self.labels),):
            raise ModelError(
                f"model {self._id!r} outputs {list(values.shape)} for a text, "
                f"but there are {len(self.labels)} classes"
            )
        return int(values.argmax()), len(mask)

    def read(self, raw: Any) -> Output:
        """The class's name."""
        number, tokens = raw
        return Output(label=self.labels[number], tokens_in=tokens)

    def close(self) -> None:
        """Release the session."""
        del self._model


def _load_head(path: str | None) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    if not path:
        return None
    import numpy as np

    head = heads.read(Path(path))
    return np.array(head.weights, dtype=np.float32), np.array(head.bias, dtype=np.float32)


def _embeddings(model_id: str, outputs: Mapping[str, list[Any]], width: int) -> str:
    """The output with the embeddings: batch x tokens x D, or batch x D; D is ``width``."""
    fitting = [n for n, shape in outputs.items() if len(shape) in (2, 3)]
    fitting = [n for n in fitting if outputs[n][-1] == width or isinstance(outputs[n][-1], str)]
    if not fitting:
        raise ModelError(
            f"model {model_id!r} outputs {shapes(outputs)}: "
            f"no embeddings of {width}, which its head needs"
        )
    return fitting[0]
