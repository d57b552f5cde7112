"""Encoders in ONNX, one text at a time: tags, masked words, answer spans, embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from permille.backends import files, model_config
from permille.backends.masks import mask_place
from permille.backends.onnx.text import TextModel, embedding
from permille.backends.spans import best_span, fitting_question
from permille.errors import ModelError
from permille.records.cell import ModelFacts
from permille.workload.outputs import Output
from permille.workload.requests import Masked, Question, Text, Words

_GUESSES = 5


class Encoder:
    """Shared by these tasks: the model and the checks."""

    device = "cpu"
    asks: type

    def __init__(self, model_id: str, model: TextModel, file: Path, classes: tuple[str, ...]):
        self.id, self.model, self.classes = model_id, model, classes
        self.prepare(files.folder_of(file))

    @property
    def facts(self) -> ModelFacts:
        """The bytes of the model."""
        return self.model.session.facts

    def prepare(self, folder: Path) -> None:
        """Find the session's outputs and the model's files that the task needs."""
        self.model.session.needed("logits")

    def infer(self, request: Any) -> Any:
        """Run one text; returns (the answer's numbers, the number of tokens)."""
        if not isinstance(request, self.asks):
            raise ModelError(
                f"backend onnx does not support a {type(request).__name__} request here"
            )
        return self.answer(request)

    def answer(self, request: Any) -> Any:
        """Like :meth:`infer`, for a request of the right kind."""
        raise NotImplementedError

    def read(self, raw: Any) -> Output:
        """Numbers to names."""
        raise NotImplementedError

    def close(self) -> None:
        """Release the session."""
        del self.model


class Tagger(Encoder):
    """token-classification: the tag of each word's first token; None for a word that the tokenizer
    drops."""

    asks = Words

    def prepare(self, folder: Path) -> None:
        """Check the width of the logits; prepare the tokenizer for separate words."""
        from tokenizers.pre_tokenizers import ByteLevel

        super().prepare(folder)
        kind = (model_config.read(folder / "config.json") or {}).get("model_type")
        splitting = self.model.tokenizer.pre_tokenizer
        if kind in model_config.BYTE_LEVEL and isinstance(splitting, ByteLevel):
            splitting.add_prefix_space = True
        width = self.model.outputs["logits"][-1]
        if isinstance(width, int) and width != len(self.classes):
            raise ModelError(
                f"model {self.id!r} has {width} classes, but {len(self.classes)} are named"
            )

    def answer(self, request: Words) -> Any:
        """Words to the numbers of their tags."""
        encoding = self.model.tokenizer.encode(list(request.words), is_pretokenized=True)
        (logits,) = self.model.evaluate(encoding, "logits")
        first: dict[int, int] = {}
        for place, word in enumerate(encoding.word_ids):
            if word is not None:
                first.setdefault(word, place)
        best = logits.argmax(axis=-1).tolist()
        places = [first.get(word) for word in range(max(first, default=-1) + 1)]
        return [None if at is None else best[at] for at in places], len(encoding.ids)

    def read(self, raw: Any) -> Output:
        """The tags' names."""
        tags, tokens = raw
        names = [None if tag is None else self.classes[tag] for tag in tags]
        return Output(data=names, tokens_in=tokens)


class Filler(Encoder):
    """fill-mask: the most likely tokens for the mask."""

    asks = Masked

    def prepare(self, folder: Path) -> None:
        """Find the word for the mask."""
        super().prepare(folder)
        tokenizer = self.model.tokenizer
        named = model_config.mask_token(folder)
        # BERT's and RoBERTa's, for a folder without the tokenizer's configuration.
        known = [
            (mask, number)
            for mask in (named, "[MASK]", "<mask>")
            if mask and (number := tokenizer.token_to_id(mask)) is not None
        ]
        if not known:
            raise ModelError(f"model {self.id!r}: its tokenizer has no mask token")
        self._mask, self._number = known[0]

    def answer(self, request: Masked) -> Any:
        """Run a masked text; returns the numbers of the most likely tokens."""
        encoding = self.model.tokenizer.encode(f"{request.before}{self._mask}{request.after}")
        last = len(request.before) + len(self._mask) - 1
        place = mask_place(encoding.ids, encoding.offsets, self._number, last)
        if place is None:
            raise ModelError(
                f"model {self.id!r}: the masked word is beyond the {len(encoding.ids)} tokens "
                "that it reads; max_length is too small"
            )
        (logits,) = self.model.evaluate(encoding, "logits")
        return (-logits[place]).argsort()[:_GUESSES].tolist(), len(encoding.ids)

    def read(self, raw: Any) -> Output:
        """The tokens as words."""
        guesses, tokens = raw
        decode = self.model.tokenizer.decode
        words = [decode([guess], skip_special_tokens=False).strip() for guess in guesses]
        return Output(data=words, tokens_in=tokens)


class Answerer(Encoder):
    """question-answering: a span of the context."""

    asks = Question

    def prepare(self, folder: Path) -> None:
        """Logits of starts and ends."""
        self.model.session.needed("start_logits", "end_logits")

    def answer(self, request: Question) -> Any:
        """Answer a question with the text of a span."""
        import numpy as np

        with fitting_question(self.id, self.model.max_length):
            encoding = self.model.tokenizer.encode(request.question, request.context)
        start, end = self.model.evaluate(encoding, "start_logits", "end_logits")
        # Neither special tokens nor the question: their offsets are not those of the context.
        inside = np.array([part == 1 for part in encoding.sequence_ids])
        first, last = best_span(start, end, inside)
        text = request.context[encoding.offsets[first][0] : encoding.offsets[last][1]]
        return text, len(encoding.ids)

    def read(self, raw: Any) -> Output:
        """The text."""
        text, tokens = raw
        return Output(text=text, tokens_in=tokens)


class Embedder(Encoder):
    """feature-extraction: the mean of the token vectors, scaled to length 1."""

    asks = Text

    def prepare(self, folder: Path) -> None:
        """The output with the vectors."""
        named = ("sentence_embedding", "last_hidden_state", "token_embeddings")
        shaped = [name for name, shape in self.model.outputs.items() if len(shape) in (2, 3)]
        there = [name for name in named if name in shaped] or shaped
        if not there:
            self.model.session.needed("last_hidden_state")
        self._output = there[0]

    def answer(self, request: Text) -> Any:
        """A text to its vector."""
        values, mask = self.model.run(request.text, self._output)
        return embedding(values, mask), len(mask)

    def read(self, raw: Any) -> Output:
        """The vector as numbers."""
        vector, tokens = raw
        return Output(data=[float(value) for value in vector], tokens_in=tokens)


ENCODERS: dict[str, type[Encoder]] = {
    "token-classification": Tagger,
    "fill-mask": Filler,
    "question-answering": Answerer,
    "feature-extraction": Embedder,
}
