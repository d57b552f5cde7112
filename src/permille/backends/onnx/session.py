"""An onnxruntime session on the CPU, with one-line errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from permille.errors import ModelError
from permille.records.cell import ModelFacts
from permille.weights.onnx import external

if TYPE_CHECKING:
    from numpy.typing import NDArray


class OnnxSession:
    """An opened model. ``inputs`` and ``outputs`` map names to shapes, in which names are free
    axes.

    Raises:
        ModelError: the file is damaged, or onnxruntime cannot run it.
    """

    def __init__(self, model_id: str, file: Path, threads: int | None) -> None:
        import onnxruntime
        import onnxruntime.capi.onnxruntime_pybind11_state as ort

        self._id, self._file = model_id, file
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # fatal errors are raised
        if threads is not None:
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
        # onnxruntime's exceptions have no class in common but Exception.
        self._failures = (
            *(ort.InvalidProtobuf, ort.InvalidGraph, ort.InvalidArgument, ort.Fail),
            *(ort.NoSuchFile, ort.NotImplemented, ort.RuntimeException),
        )
        try:
            # The device is reported as cpu: a build for GPUs must not choose another by itself.
            self._session = onnxruntime.InferenceSession(
                str(file), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except self._failures as error:
            raise ModelError(
                f"model {model_id!r}: {file} is not a model that onnxruntime can run: "
                f"{_first_line(error)}"
            ) from error
        self.inputs = {i.name: list(i.shape) for i in self._session.get_inputs()}
        self.outputs = {o.name: list(o.shape) for o in self._session.get_outputs()}

    @property
    def facts(self) -> ModelFacts:
        """The bytes of the model, with the weights that it stores in separate files."""
        files = [self._file, *(self._file.parent / name for name in external(self._file))]
        return ModelFacts(size_bytes=sum(file.stat().st_size for file in files if file.is_file()))

    def run(self, outputs: Sequence[str], feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Run the model; returns the named outputs, in that order.

        Raises:
            ModelError: onnxruntime cannot run the model on these inputs.
        """
        try:
            arrays: list[NDArray[Any]] = self._session.run(list(outputs), dict(feed))
        except self._failures as error:
            raise ModelError(f"model {self._id!r}: onnxruntime: {_first_line(error)}") from error
        return arrays

    def needed(self, *names: str) -> None:
        """Check that the model has all outputs in ``names``.

        Raises:
            ModelError: it does not; the message lists its outputs.
        """
        lacking = [name for name in names if name not in self.outputs]
        if lacking:
            raise ModelError(
                f"model {self._id!r} outputs {shapes(self.outputs)}, but no {' or '.join(lacking)}"
            )

    def logits(self, classes: Sequence[str], hint: str = "") -> str:
        """The output with the logits: batch x classes.

        Raises:
            ModelError: there is none (with ``hint``), or it has another number of classes.
        """
        flat = [name for name, shape in self.outputs.items() if len(shape) == 2]
        if not flat:
            raise ModelError(
                f"model {self._id!r} outputs {shapes(self.outputs)}, which are not logits of"
                f" classes{hint}"
            )
        # By its place, if not by its name: torch.onnx.export() numbers outputs that nobody named.
        name = "logits" if "logits" in flat else flat[0]
        width = self.outputs[name][1]
        if isinstance(width, int) and width != len(classes):
            raise ModelError(
                f"model {self._id!r} has {width} classes, but {len(classes)} are named: "
                f"{', '.join(classes[:10])}"
            )
        return name


def shapes(values: Mapping[str, Sequence[Any]]) -> str:
    """Names and shapes, for a message."""
    return ", ".join(f"{name} {list(shape)}" for name, shape in values.items())


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:300]
