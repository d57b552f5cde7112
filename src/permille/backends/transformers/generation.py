"""Generate text from text: continue prompts, answer conversations, choose labels.

Decoding is greedy. A label is chosen by the probability of its next tokens, as with backend llama;
the prompt is evaluated again for each token that the labels share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from permille.backends.choosing import next_step
from permille.backends.transformers.base import TorchModel, lengths, longest_input
from permille.errors import ModelError
from permille.extras import extra
from permille.workload.outputs import Likelihood, Output
from permille.workload.requests import Chat, Choice, Generate


class Generation(TorchModel):
    """Decoders and encoder-decoders."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._two_part = bool(getattr(self.model.config, "is_encoder_decoder", False))
        tokenizer = self.processor
        # Many decoders, such as GPT-2, have no padding token, and a batch needs one.
        if tokenizer.pad_token_id is None and self.batch_size > 1:
            tokenizer.pad_token = tokenizer.eos_token
        # The answer follows the last token of the prompt, which must not be padding:
        # https://huggingface.co/docs/transformers/llm_tutorial#wrong-padding-side
        if not self._two_part:
            tokenizer.padding_side = "left"
        self._max_length = self.settings.max_length or longest_input(tokenizer)

    def run(self, requests: Sequence[Any]) -> Any:
        """Prompts, conversations or choices."""
        first = requests[0]
        if isinstance(first, Choice):
            return "chosen", [self._choose(request) for request in requests]
        if isinstance(first, Generate):
            inputs = self._encode([request.prompt for request in requests])
        elif isinstance(first, Chat):
            inputs = self._conversations(requests)
        else:
            raise self.refuse(first)
        return "tokens", self.generate(inputs, first.max_new_tokens)

    def outputs(self, raw: Any) -> list[Output]:
        """Tokens to text. For text-generation without a batch, also the likelihood of the
        prompt."""
        kind, value = raw
        if kind == "chosen":
            return [Output(label=c, tokens_in=n, tokens_out=0) for c, n in value]
        inputs, made = value
        answers = []
        for row, (read, tokens) in enumerate(zip(lengths(inputs), made, strict=True)):
            kept = self._trimmed(tokens)
            answers.append(
                Output(
                    text=self.processor.decode(kept, skip_special_tokens=True),
                    tokens_in=read,
                    tokens_out=len(kept),
                    likelihood=self._likelihood(inputs, row),
                )
            )
        return answers

    def harness_model(self) -> Any:
        """The model in memory as one of lm-eval's, which encodes and batches by itself.

        Raises:
            UsageError: lm-eval is not installed.
        """
        with extra("lm-eval", "scoring by lm-eval"):
            from lm_eval.models.huggingface import HFLM
        return HFLM(
            pretrained=self.model,
            tokenizer=self.processor,
            backend="seq2seq" if self._two_part else "causal",
            batch_size=self.batch_size,
            max_length=self.settings.max_length,
        )

    def generate(self, inputs: Any, most: int) -> Any:
        """(inputs, the new tokens of each)."""
        most = self.forced_tokens or most
        made = self.model.generate(
            **inputs,
            max_new_tokens=most,
            min_new_tokens=self.forced_tokens,
            do_sample=False,
            num_beams=1,
            # The one that _trimmed() removes: a generation_config.json may name another.
            pad_token_id=self._pad(),
        )
        # A decoder repeats the prompt, an encoder-decoder its one start token.
        skipped = 1 if self._two_part else inputs["input_ids"].shape[1]
        return inputs, made[:, skipped:].tolist()

    def _encode(self, texts: list[str]) -> Any:
        # Without token types: generate() refuses inputs that a model does not take.
        return self.processor(
            texts, return_tensors="pt", truncation=True, max_length=self._max_length,
            padding=len(texts) > 1, return_token_type_ids=False,
        ).to(self._device)  # fmt: skip

    def _conversations(self, requests: Sequence[Chat]) -> Any:
        messages = [[{"role": role, "content": text} for role, text in request.messages]
                    for request in requests]  # fmt: skip
        return self.processor.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True,
            padding=len(requests) > 1,
        ).to(self._device)  # fmt: skip

    def _pad(self) -> int:
        for token in (self.processor.pad_token_id, self.processor.eos_token_id):
            if token is not None:
                return int(token)
        return 0

    def _trimmed(self, tokens: list[int]) -> list[int]:
        """Remove the padding after a shorter answer of a batch; its end token stays."""
        if self.batch_size == 1:
            return tokens
        pad, end = self._pad(), self.processor.eos_token_id
        count = len(tokens)
        while count and tokens[count - 1] == pad:
            count -= 1
        # Where the end token also pads (see __init__), the first of these is the answer's own.
        ended_by_pad = pad == end and count < len(tokens)
        return tokens[: count + ended_by_pad]

    def _likelihood(self, inputs: Any, row: int) -> Likelihood | None:
        """The likelihood of a decoder's input text: one more forward pass, after the measured
        span."""
        meant = self.task == "text-generation" and self.forced_tokens is None
        if self._two_part or not meant:
            return None
        torch = self.torch
        real = inputs["attention_mask"][row].bool()
        ids = inputs["input_ids"][row][real][None]
        # The first token has none before it, and so no probability.
        if ids.shape[1] < 2:
            return None
        with torch.inference_mode():
            # In float32: bfloat16 has three digits, too few for a sum over a long text.
            logits = self.model(input_ids=ids).logits[0, :-1].float()
        log_p = torch.log_softmax(logits, dim=-1).gather(1, ids[0, 1:, None]).sum()
        # Unchanged, although a tokenizer may ask for the clean-up that was made for WordPiece: it
        # takes out blanks before punctuation, whose bytes the model has predicted as well.
        text = self.processor.decode(
            ids[0, 1:], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return Likelihood(
            log_likelihood=float(log_p), tokens=ids.shape[1] - 1,
            utf8_bytes=max(1, len(text.encode())),
        )  # fmt: skip

    def _choose(self, request: Choice) -> tuple[str, int]:
        """(the choice, tokens read)."""
        words = {choice: self._added(request.prompt, choice) for choice in request.choices}
        inputs = self._encode([request.prompt])
        length = inputs["input_ids"].shape[1]
        left, read = request.choices, 0
        while len(left) > 1:
            step = next_step({choice: words[choice] for choice in left})
            logits = self._next(inputs, step.tokens)
            read += length + len(step.tokens)
            left = step.branches[max(step.branches, key=lambda token: float(logits[token]))]
        return left[0], read

    def _next(self, inputs: Any, tokens: tuple[int, ...]) -> Any:
        """Logits of the token after the prompt and ``tokens``."""
        torch = self.torch
        if self._two_part:
            # An encoder-decoder begins its answer with this token, which generate() would add by
            # itself.
            start = self.model.generation_config.decoder_start_token_id
            begun = torch.tensor([[start, *tokens]], device=self._device)
            return self.model(**inputs, decoder_input_ids=begun).logits[0, -1]
        more = torch.tensor([tokens], dtype=torch.long, device=self._device)
        ids = torch.cat([inputs["input_ids"], more], dim=1)
        return self.model(input_ids=ids).logits[0, -1]

    def _added(self, prompt: str, choice: str) -> tuple[int, ...]:
        """The tokens that a choice adds: after the prompt, or as the decoder's own text."""

        def ids(text: str) -> list[int]:
            return list(self.processor(text, add_special_tokens=False)["input_ids"])

        if self._two_part:
            return tuple(ids(choice))
        before, whole = ids(prompt), ids(prompt + choice)
        if whole[: len(before)] != before or len(whole) == len(before):
            raise ModelError(
                f"model {self.id!r}: the label {choice!r} merges with the end of the prompt; "
                "end the prompt without a blank and begin the words with one"
            )
        return tuple(whole[len(before) :])
