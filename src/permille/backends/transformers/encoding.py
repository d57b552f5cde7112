"""Run texts through an encoder: classes, embeddings, tags, answer spans, masked words.

Batches are padded to their longest text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from permille.backends.masks import mask_place
from permille.backends.spans import best_span, fitting_question
from permille.backends.transformers.base import TorchModel, lengths, longest_input
from permille.errors import ModelError
from permille.workload.outputs import Output
from permille.workload.requests import Masked, Question, Text, Words

_GUESSES = 5


class Encoding(TorchModel):
    """Encoders with a head, and without."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._max_length = self.settings.max_length or longest_input(self.processor)

    def run(self, requests: Sequence[Any]) -> Any:
        """Run one forward pass over all of them."""
        first = requests[0]
        if isinstance(first, Text):
            inputs = self._encode([request.text for request in requests])
            if self.task == "text-classification":
                return "label", inputs, self.model(**inputs).logits.argmax(dim=-1)
            return "vector", inputs, self._vectors(inputs)
        if isinstance(first, Words):
            return self._tags(requests)
        if isinstance(first, Masked):
            return self._guesses(requests)
        if isinstance(first, Question):
            return self._spans(requests)
        raise self.refuse(first)

    def outputs(self, raw: Any) -> list[Output]:
        """Convert numbers to names."""
        kind, inputs, value = raw
        read = lengths(inputs)
        names = self.model.config.id2label
        if kind == "label":
            answers = [Output(label=names[int(v)]) for v in value]
        elif kind == "vector":
            answers = [Output(data=v) for v in value.float().tolist()]
        elif kind == "tags":
            answers = [
                Output(data=[None if n is None else names[n] for n in tags]) for tags in value
            ]
        elif kind == "guesses":
            answers = [Output(data=[self.processor.decode([int(t)]).strip() for t in tokens])
                     for tokens in value]  # fmt: skip
        else:
            answers = [Output(text=text) for text in value]
        return [
            Output(label=o.label, text=o.text, data=o.data, tokens_in=n)
            for o, n in zip(answers, read, strict=True)
        ]

    def _encode(self, texts: Any, **more: Any) -> Any:
        return self.processor(
            texts, return_tensors="pt", truncation=True, max_length=self._max_length,
            padding=len(texts) > 1, return_attention_mask=True, **more,
        ).to(self._device)  # fmt: skip

    def _vectors(self, inputs: Any) -> Any:
        """The mean of each text's token vectors, without padding: texts x D."""
        hidden = self.model(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        # By the mask, not the width of the batch: or a text's vector would depend on the others'.
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1)

    def _tags(self, requests: Sequence[Words]) -> Any:
        """The tag of each word's first token; None for a word that the tokenizer drops."""
        inputs = self._encode(
            [list(request.words) for request in requests], is_split_into_words=True
        )
        places = []
        for row in range(len(requests)):
            first_token: dict[int, int] = {}
            for place, word in enumerate(inputs.word_ids(row)):
                if word is not None:
                    # Taggers are trained on the first token of each word, as BERT's authors did
                    # (Devlin et al., 2019, section 5.3).
                    first_token.setdefault(word, place)
            places.append(
                [first_token.get(word) for word in range(max(first_token, default=-1) + 1)]
            )
        best = self.model(**inputs).logits.argmax(dim=-1).tolist()
        tags = [
            [None if at is None else best[row][at] for at in words]
            for row, words in enumerate(places)
        ]
        return "tags", inputs, tags

    def _guesses(self, requests: Sequence[Masked]) -> Any:
        """The most likely tokens for the mask."""
        mask = self.processor.mask_token
        texts = [f"{request.before}{mask}{request.after}" for request in requests]
        inputs = self._encode(texts)
        places = [self._hole(inputs, row, request) for row, request in enumerate(requests)]
        logits = self.model(**inputs).logits[self.torch.arange(len(texts)), places]
        return "guesses", inputs, logits.topk(_GUESSES, dim=-1).indices

    def _hole(self, inputs: Any, row: int, request: Masked) -> int:
        """The position of the mask's token."""
        tokens, mask = inputs["input_ids"][row].tolist(), self.processor.mask_token
        if inputs.encodings is not None:
            offsets = inputs.encodings[row].offsets
            last = len(request.before) + len(mask) - 1
        elif mask in request.before or mask in request.after:
            raise ModelError(
                f"model {self.id!r}: a text contains the mask token {mask} itself, and this "
                "tokenizer does not say where its tokens are in the text; leave the text out"
            )
        else:
            offsets, last = [(0, 1)] * len(tokens), 0  # the only mask is the right one
        place = mask_place(tokens, offsets, self.processor.mask_token_id, last)
        if place is None:
            raise ModelError(
                f"model {self.id!r}: the masked word is beyond the {self._max_length} tokens "
                "that it reads; max_length is too small"
            )
        return place

    def _spans(self, requests: Sequence[Question]) -> Any:
        """The best span of each context: the largest sum of its start and end logits."""
        import numpy as np

        with fitting_question(self.id, self._max_length):
            encoded = self.processor(
                [request.question for request in requests],
                [request.context for request in requests],
                return_tensors="pt",
                truncation="only_second",
                max_length=self._max_length,
                padding=len(requests) > 1,
                return_offsets_mapping=True,
                return_attention_mask=True,
            )
        places = encoded.pop("offset_mapping").tolist()
        parts = [encoded.sequence_ids(row) for row in range(len(requests))]
        inputs = encoded.to(self._device)
        result = self.model(**inputs)
        answers = []
        for row, request in enumerate(requests):
            start, end = (
                # numpy has no bfloat16.
                logits[row].float().cpu().numpy()
                for logits in (result.start_logits, result.end_logits)
            )
            inside = np.array([part == 1 for part in parts[row]])
            first, last = best_span(start, end, inside)
            answers.append(request.context[places[row][first][0] : places[row][last][1]])
        return "spans", inputs, answers
