"""Models of the Hub's format in a local folder, through transformers and torch.

    backend = "transformers"
    path = "models/flan-t5-base"
    device = "cuda"            # cpu if not given
    dtype = "bfloat16"         # what the files say, if not given

The auto classes and ``generate``, not pipelines. Greedy, batch 1. Weights are read from
safetensors; a pickle is refused unless ``allow_pickle = true``, and code that comes with a model
is never run. A folder that lacks weights of the task's head is refused: transformers would draw
them at random. The device has finished when an inference returns.

A choice among labels is made by the probability of their next tokens, as with backend llama; the
prompt is evaluated again for each token that the labels share.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from permille.backends import (
    Backend,
    Chat,
    Choice,
    Generate,
    ModelSpec,
    Output,
    Question,
    Text,
    files,
)
from permille.backends.choosing import next_step
from permille.backends.transformers_files import find_device, open_model
from permille.errors import ModelError
from permille.records import Category, ModelFacts, Record

_GENERAL: frozenset[Category] = frozenset({"general-purpose"})
_SPECIFIC: frozenset[Category] = frozenset({"task-specific"})
_ANSWER_TOKENS = 30
"""A span that answers a question is at most this long, as in BERT's own evaluation on SQuAD."""


class Settings(Record, forbid_unknown_fields=True):
    """``path``: the model's folder. ``labels``: the dataset's label -> the model's. ``max_length``:
    tokens at which an input is cut (the tokenizer's own, or 512). ``threads`` of torch on a CPU.
    ``compile``: through torch.compile, which the first inferences pay for."""

    path: str
    device: str = "cpu"
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    labels: dict[str, str] = {}
    max_length: int | None = None
    max_new_tokens: int | None = None
    threads: int | None = None
    compile: bool = False
    allow_pickle: bool = False


class TransformersBackend:
    """The backend, as a plug-in."""

    name = "transformers"
    tasks: Mapping[str, frozenset[Category]] = {
        "text-classification": _SPECIFIC | _GENERAL,
        "feature-extraction": _SPECIFIC,
        "question-answering": _SPECIFIC | _GENERAL,
        "text-generation": _SPECIFIC | _GENERAL,
        "summarization": _SPECIFIC | _GENERAL,
        "translation": _SPECIFIC | _GENERAL,
        "chat": _SPECIFIC | _GENERAL,
    }
    settings: type[Record] = Settings
    requires: tuple[str, ...] = ("torch", "transformers")
    install = "pip install 'permille[torch]'"

    def check(self, model: ModelSpec, task: str) -> None:
        """That the folder holds a model, in a form that may be read.

        Raises:
            ModelError: no config.json, no weights, only a pickle, or a setting out of range.
        """
        settings = msgspec.convert(model.settings, Settings)
        folder = Path(settings.path)
        files.existing(model.id, "path", folder / "config.json")
        if not any(folder.glob("*.safetensors")):
            pickled = next(iter(sorted(folder.glob("*.bin"))), None)
            if pickled is None:
                raise ModelError(f"model {model.id!r}: no *.safetensors in {folder}")
            if not settings.allow_pickle:
                raise ModelError(
                    f"model {model.id!r}: {pickled.name} is a pickle, which can run code; convert "
                    "it to safetensors, or say allow_pickle = true if you trust it"
                )
        for key, value in (("threads", settings.threads), ("max_length", settings.max_length)):
            if value is not None and value < 1:
                raise ModelError(f"model {model.id!r}: {key} must be at least 1, not {value}")

    def load(self, model: ModelSpec, task: str) -> _Loaded:
        """The model on its device.

        Raises:
            ModelError: the device is not there, the files are damaged, or not of such a model.
        """
        self.check(model, task)
        return _Loaded(model, msgspec.convert(model.settings, Settings), task)


class _Loaded:
    """A loaded model."""

    def __init__(self, spec: ModelSpec, settings: Settings, task: str) -> None:
        import torch

        self._torch = torch
        self._id, self._settings, self._task = spec.id, settings, task
        self._device = find_device(spec.id, settings.device)
        self.device = str(self._device)
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        self._tokenizer, self._model = open_model(
            spec, task, settings.path, dtype=settings.dtype, pickle=settings.allow_pickle
        )
        self._params = sum(p.numel() for p in self._model.parameters())
        self._model.eval().to(self._device)
        if settings.compile:
            self._model.compile()
        config = self._model.config
        self._two_part = bool(getattr(config, "is_encoder_decoder", False))
        own = self._tokenizer.model_max_length  # "none" is an absurdly great number here
        self._max_length = settings.max_length or (own if own < 1_000_000 else 512)

    @property
    def facts(self) -> ModelFacts:
        """Counted in memory and on disk."""
        weights = [*Path(self._settings.path).glob("*.safetensors")]
        return ModelFacts(
            params=self._params,
            architecture=type(self._model).__name__,
            size_bytes=sum(file.stat().st_size for file in weights) or None,
        )

    def infer(self, request: Any) -> Any:
        """One inference; the device is done when this returns."""
        with self._torch.inference_mode():
            answer = self._infer(request)
        if self._device.type == "cuda":
            self._torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            self._torch.mps.synchronize()
        return answer

    def read(self, raw: Any) -> Output:
        """Tokens to text, numbers to names."""
        kind, value, tokens_in = raw
        if kind == "label":
            return Output(label=self._model.config.id2label[int(value)], tokens_in=tokens_in)
        if kind == "chosen":
            return Output(label=value, tokens_in=tokens_in, tokens_out=0)
        if kind == "vector":
            return Output(data=value.float().tolist(), tokens_in=tokens_in)
        if kind == "span":
            return Output(text=value, tokens_in=tokens_in)
        text = self._tokenizer.decode(value, skip_special_tokens=True)
        return Output(text=text, tokens_in=tokens_in, tokens_out=len(value))

    def close(self) -> None:
        """Let go of the model."""
        del self._model

    def _infer(self, request: Any) -> Any:
        if isinstance(request, Text) and self._task == "text-classification":
            inputs = self._encode(request.text)
            return "label", self._model(**inputs).logits[0].argmax(), _length(inputs)
        if isinstance(request, Text):
            inputs = self._encode(request.text)
            # One text has no padding: the mean over its tokens is the mean over all.
            return "vector", self._model(**inputs).last_hidden_state[0].mean(dim=0), _length(inputs)
        if isinstance(request, Question):
            return self._span(request)
        if isinstance(request, Choice):
            return self._choose(request)
        if isinstance(request, Generate):
            return self._generate(self._encode(request.prompt), request.max_new_tokens)
        if isinstance(request, Chat):
            messages = [{"role": role, "content": text} for role, text in request.messages]
            inputs = self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
            ).to(self._device)
            return self._generate(inputs, request.max_new_tokens)
        raise ModelError(f"backend transformers cannot do a {type(request).__name__} request")

    def _encode(self, text: str) -> Any:
        return self._tokenizer(
            text, return_tensors="pt", truncation=True, max_length=self._max_length
        ).to(self._device)

    def _generate(self, inputs: Any, most: int) -> Any:
        tokens = self._model.generate(
            **inputs, max_new_tokens=most, do_sample=False, num_beams=1, pad_token_id=self._pad()
        )[0]
        # A decoder repeats the prompt, an encoder-decoder its one start token.
        skipped = 1 if self._two_part else _length(inputs)
        return "tokens", tokens[skipped:].tolist(), _length(inputs)

    def _pad(self) -> int:
        for token in (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        return 0

    def _choose(self, request: Choice) -> Any:
        words = {choice: self._added(request.prompt, choice) for choice in request.choices}
        inputs = self._encode(request.prompt)
        left, read = request.choices, 0
        while len(left) > 1:
            step = next_step({choice: words[choice] for choice in left})
            logits = self._next(inputs, step.tokens)
            read += _length(inputs) + len(step.tokens)
            left = step.branches[max(step.branches, key=lambda token: float(logits[token]))]
        return "chosen", left[0], read

    def _next(self, inputs: Any, tokens: tuple[int, ...]) -> Any:
        """Logits of the token after the prompt and ``tokens``."""
        torch = self._torch
        if self._two_part:
            start = self._model.generation_config.decoder_start_token_id
            begun = torch.tensor([[start, *tokens]], device=self._device)
            return self._model(**inputs, decoder_input_ids=begun).logits[0, -1]
        more = torch.tensor([tokens], dtype=torch.long, device=self._device)
        ids = torch.cat([inputs["input_ids"], more], dim=1)
        return self._model(input_ids=ids).logits[0, -1]

    def _added(self, prompt: str, choice: str) -> tuple[int, ...]:
        """The tokens that a choice adds: after the prompt, or as the decoder's own text."""

        def ids(text: str) -> list[int]:
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

        if self._two_part:
            return tuple(ids(choice))
        before, whole = ids(prompt), ids(prompt + choice)
        if whole[: len(before)] != before or len(whole) == len(before):
            raise ModelError(
                f"model {self._id!r}: the label's word {choice!r} runs into the prompt's end; "
                "end the prompt without a blank and begin the words with one"
            )
        return tuple(whole[len(before) :])

    def _span(self, request: Question) -> Any:
        """The best span of the context: the greatest sum of its start's and its end's logit."""
        torch = self._torch
        encoded = self._tokenizer(
            request.question,
            request.context,
            return_tensors="pt",
            truncation="only_second",
            max_length=self._max_length,
            return_offsets_mapping=True,
        )
        places = encoded.pop("offset_mapping")[0].tolist()
        inside = torch.tensor([part == 1 for part in encoded.sequence_ids(0)])
        inputs = encoded.to(self._device)
        found = self._model(**inputs)
        start, end = (
            logits[0].float().cpu().masked_fill(~inside, -torch.inf)
            for logits in (found.start_logits, found.end_logits)
        )
        sums = start[:, None] + end[None, :]
        ones = torch.ones_like(sums, dtype=torch.bool)
        allowed = ones.triu() & ones.tril(_ANSWER_TOKENS - 1)
        best = int(sums.masked_fill(~allowed, -torch.inf).argmax())
        first, last = divmod(best, len(places))
        return "span", request.context[places[first][0] : places[last][1]], _length(inputs)


def _length(inputs: Any) -> int:
    return int(inputs["input_ids"].shape[1])


backend: Backend = TransformersBackend()
