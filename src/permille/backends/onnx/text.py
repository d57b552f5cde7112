"""A text model in ONNX with its tokenizer: texts to tokens, tokens to the session's outputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from permille.backends.onnx.session import OnnxSession
from permille.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Encoding, Tokenizer

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_DEFAULT_MAX_LENGTH = 512
"""The number of positions of BERT and most of its descendants, which cannot read a longer text."""


class TextModel:
    """A session and its tokenizer, at batch size 1. ``outputs`` maps the session's outputs to their
    shapes, in which names are free axes. ``pairs``: texts are pairs, and the second is truncated.

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
        pairs: bool = False,
    ) -> None:
        self.tokenizer, self.max_length = _open_tokenizer(
            model_id, tokenizer, max_length, pairs=pairs
        )
        self.session = OnnxSession(model_id, model, threads)
        self._inputs = _declared_inputs(model_id, self.session)
        self.outputs = self.session.outputs

    def run(self, text: str, output: str) -> tuple[NDArray[np.float32], list[int]]:
        """One output for a text, without its batch axis, and the tokens' attention mask.

        Raises:
            ModelError: onnxruntime cannot run the model.
        """
        encoding = self.tokenizer.encode(text)
        (values,) = self.evaluate(encoding, output)
        return values, encoding.attention_mask

    def evaluate(self, encoding: Encoding, *outputs: str) -> list[NDArray[Any]]:
        """The outputs named, without their batch axis.

        Raises:
            ModelError: onnxruntime cannot run the model.
        """
        import numpy as np

        columns = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        feed = {name: np.array([columns[name]], dtype=np.int64) for name in self._inputs}
        return [values[0] for values in self.session.run(outputs, feed)]


def embedding(values: NDArray[np.float32], mask: list[int]) -> NDArray[np.float32]:
    """A sentence's embedding, of length 1 (D,): the mean of the token vectors (T x D) whose
    ``mask`` (T) is 1; or ``values`` (D), if the model has already averaged."""
    import numpy as np

    if values.ndim == 2:
        weights = np.array(mask, dtype=np.float32)
        values = weights @ values / max(float(weights.sum()), 1.0)
    length = float(np.linalg.norm(values))
    return values / np.float32(length) if length > 0 else values


def _open_tokenizer(
    model_id: str, file: Path, max_length: int | None, *, pairs: bool
) -> tuple[Tokenizer, int]:
    """The tokenizer, and the most tokens that it gives of a text."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:
        if type(error) is not Exception:  # tokenizers raises no narrower type than this
            raise
        raise ModelError(f"model {model_id!r}: {file} is not a tokenizer: {error}") from error
    own: int = tokenizer.truncation["max_length"] if tokenizer.truncation else _DEFAULT_MAX_LENGTH
    # The question stays whole: without it, there is nothing to answer.
    strategy = "only_second" if pairs else "longest_first"
    most = max_length or own
    tokenizer.enable_truncation(most, strategy=strategy)
    # With the tokenizer's own padding to a fixed length, every text would cost the same.
    tokenizer.no_padding()
    return tokenizer, most


def _declared_inputs(model_id: str, session: OnnxSession) -> list[str]:
    names = list(session.inputs)
    if "input_ids" not in names or not set(names) <= set(_INPUTS):
        raise ModelError(
            f"model {model_id!r} takes the inputs {', '.join(names)}; a text model takes "
            f"input_ids and, if it wants, {' and '.join(_INPUTS[1:])}"
        )
    return names
