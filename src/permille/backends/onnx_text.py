"""A text model in ONNX with its tokenizer: text in, the session's first fitting output out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from permille.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_DEFAULT_MAX_LENGTH = 512


class TextModel:
    """A session and its tokenizer, at batch 1. ``outputs`` maps the session's outputs to their
    shapes, whose free axes are names.

    Raises:
        ModelError: the files are damaged, or the session's inputs are not a text model's.
    """

    def __init__(
        self,
        model_id: str,
        model: Path,
        tokenizer: Path,
        *,
        threads: int | None = None,
        max_length: int | None = None,
    ) -> None:
        self._id = model_id
        self._tokenizer = _open_tokenizer(model_id, tokenizer, max_length)
        self._session = _open_session(model_id, model, threads)
        self._inputs = _declared_inputs(model_id, self._session)
        self.outputs = {o.name: list(o.shape) for o in self._session.get_outputs()}

    def run(self, text: str, output: str) -> tuple[NDArray[np.float32], list[int]]:
        """One output for a text, without its batch axis, and the tokens' attention mask.

        Raises:
            ModelError: onnxruntime cannot run the model.
        """
        import numpy as np
        import onnxruntime.capi.onnxruntime_pybind11_state as ort

        encoding = self._tokenizer.encode(text)
        columns = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        feed = {name: np.array([columns[name]], dtype=np.int64) for name in self._inputs}
        try:
            (values,) = self._session.run([output], feed)
        except (ort.InvalidArgument, ort.Fail, ort.NotImplemented, ort.RuntimeException) as error:
            raise ModelError(f"model {self._id!r}: onnxruntime: {_first_line(error)}") from error
        return values[0], encoding.attention_mask


def embedding(values: NDArray[np.float32], mask: list[int]) -> NDArray[np.float32]:
    """A sentence's embedding, of length 1 (D,): the mean of its tokens' (T x D) where ``mask``
    (T) is 1; or ``values`` (D) itself where the model has already averaged."""
    import numpy as np

    if values.ndim == 2:
        weights = np.array(mask, dtype=np.float32)
        values = weights @ values / max(float(weights.sum()), 1.0)
    length = float(np.linalg.norm(values))
    return values / np.float32(length) if length > 0 else values


def _open_tokenizer(model_id: str, file: Path, max_length: int | None) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises nothing narrower
        raise ModelError(f"model {model_id!r}: {file} is not a tokenizer: {error}") from error
    own = tokenizer.truncation["max_length"] if tokenizer.truncation else _DEFAULT_MAX_LENGTH
    tokenizer.enable_truncation(max_length or own)
    # A tokenizer saved with padding to a fixed length would have every text cost the same.
    tokenizer.no_padding()
    return tokenizer


def _open_session(model_id: str, file: Path, threads: int | None) -> onnxruntime.InferenceSession:
    import onnxruntime
    import onnxruntime.capi.onnxruntime_pybind11_state as ort

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is fatal is raised; the rest is not for stderr
    if threads is not None:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(
            str(file), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except (
        *(ort.InvalidProtobuf, ort.InvalidGraph, ort.InvalidArgument, ort.Fail),
        *(ort.NoSuchFile, ort.NotImplemented, ort.RuntimeException),
    ) as error:
        raise ModelError(
            f"model {model_id!r}: {file} is not a model that onnxruntime can run: "
            f"{_first_line(error)}"
        ) from error


def _declared_inputs(model_id: str, session: onnxruntime.InferenceSession) -> list[str]:
    names = [i.name for i in session.get_inputs()]
    if "input_ids" not in names or not set(names) <= set(_INPUTS):
        raise ModelError(
            f"model {model_id!r} takes the inputs {', '.join(names)}; a text model takes "
            f"input_ids and, if it wants, {' and '.join(_INPUTS[1:])}"
        )
    return names


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:300]
