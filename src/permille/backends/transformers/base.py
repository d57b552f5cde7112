"""Shared by every model of backend transformers: device, batches and facts.

A modality turns a list of requests of one kind into raw answers (``run``, in the measured span),
and these into outputs (``outputs``, after it). ``TorchModel`` does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from permille.backends.torch_device import synchronise
from permille.backends.transformers.opened import OpenedModel
from permille.errors import ModelError
from permille.hub.selection import transformers_weights
from permille.records.cell import ModelFacts
from permille.workload.outputs import Output
from permille.workload.specs import ModelSpec


class TorchModel:
    """A loaded model; each modality has its own ``run`` and ``outputs``."""

    def __init__(self, spec: ModelSpec, opened: OpenedModel, settings: Any, task: str) -> None:
        import torch

        self.torch = torch
        self.id, self.settings, self.task = spec.id, settings, task
        self.processor, self.model = opened.processor, opened.model
        self.forced_tokens = opened.forced_tokens
        self._opened = opened
        self._device = opened.device
        self.device = str(opened.device)
        self.batch_size: int = settings.batch_size
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        self._params = sum(p.numel() for p in self.model.parameters())
        self.model.eval().to(self._device)
        if settings.compile:
            self.model.compile()

    @property
    def facts(self) -> ModelFacts:
        """Parameters are counted in memory, bytes on disk."""
        folder = self._opened.folder
        # Only what was loaded: a folder may have the same weights twice, in another precision.
        there = {file.name: file for file in Path(folder).glob("*.safetensors")} if folder else {}
        weights = [there[name] for name in transformers_weights(sorted(there))]
        return ModelFacts(
            params=self._params,
            architecture=type(self.model).__name__,
            size_bytes=sum(file.stat().st_size for file in weights) or None,
            weights="replica" if folder is None else None,
        )

    def run(self, requests: Sequence[Any]) -> Any:
        """Start requests of one kind; returns raw answers. The device may still be working."""
        raise NotImplementedError

    def outputs(self, raw: Any) -> list[Output]:
        """Parse raw answers to one output per request."""
        raise NotImplementedError

    def infer(self, request: Any) -> Any:
        """Run one inference; the device has finished when this returns."""
        return self.infer_batch((request,))

    def infer_batch(self, requests: Sequence[Any]) -> Any:
        """Run a batch; the device has finished when this returns."""
        with self.torch.inference_mode():
            raw = self.run(requests)
        synchronise(self._device)
        return raw

    def read(self, raw: Any) -> Output:
        """Parse the answer of :meth:`infer`."""
        return self.outputs(raw)[0]

    def read_batch(self, raw: Any) -> list[Output]:
        """Parse the answers of :meth:`infer_batch`."""
        return self.outputs(raw)

    def close(self) -> None:
        """Release the model."""
        del self.model, self._opened

    def to_device(self, inputs: Any) -> Any:
        """Move inputs to the model's device, and images and sound to its precision."""
        moved = inputs.to(self._device)
        # Processors give float32, which a model in float16 or bfloat16 refuses.
        for name in ("pixel_values", "input_features", "input_values"):
            if name in moved:
                moved[name] = moved[name].to(self.model.dtype)
        return moved

    def write(self, inputs: Any, most: int | None) -> Any:
        """Generate tokens for images or sound, greedily."""
        return self.model.generate(
            **inputs,
            max_new_tokens=self.forced_tokens or most,
            min_new_tokens=self.forced_tokens,
            # Named, because a model's generation_config.json may ask for sampling or several beams.
            do_sample=False,
            num_beams=1,
        )

    def written(self, tokens: Any) -> list[tuple[str, int]]:
        """The text of each row of :meth:`write`, and its number of tokens, without special tokens
        but including the end token."""
        tokenizer = self.processor.tokenizer
        special, end = set(tokenizer.all_special_ids), tokenizer.eos_token_id
        texts = []
        for row in tokens.tolist():
            text = tokenizer.decode(row, skip_special_tokens=True)
            # Not the first token: decoders such as BART's begin with their end token.
            count = sum(token not in special for token in row) + (end in row[1:])
            texts.append((text, self.forced_tokens or count))
        return texts

    def refuse(self, request: Any) -> ModelError:
        """The error for a request of the wrong kind."""
        return ModelError(
            f"backend transformers does not support a {type(request).__name__} request for"
            f" {self.task}"
        )


def lengths(inputs: Any) -> list[int]:
    """The number of tokens of each text of a batch, without padding."""
    return [int(n) for n in inputs["attention_mask"].sum(dim=1).tolist()]


def longest_input(tokenizer: Any) -> int:
    """The most tokens that a tokenizer gives of a text; 512 if it has no limit."""
    own = int(tokenizer.model_max_length)
    # Without a limit it is VERY_LARGE_INTEGER, 10^30 (transformers' tokenization_utils_base.py).
    return own if own < 1_000_000 else 512
