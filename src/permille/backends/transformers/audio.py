"""Transcribe recordings, with models that generate text (Whisper) or label frames (CTC)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from permille.backends.pixels import waveform
from permille.backends.transformers.base import TorchModel
from permille.errors import ModelError
from permille.workload.outputs import Output
from permille.workload.requests import Sound


class Audio(TorchModel):
    """Speech recognisers."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        extractor = getattr(self.processor, "feature_extractor", self.processor)
        self._rate = int(extractor.sampling_rate)
        self._most: int | None = getattr(extractor, "n_samples", None)  # Whisper's 30 s

    def run(self, requests: Sequence[Any]) -> Any:
        """One forward pass of all of them, or their generated texts."""
        if not all(isinstance(request, Sound) for request in requests):
            raise self.refuse(requests[0])
        waves = [waveform(request.content, self._rate) for request in requests]
        seconds = [len(wave) / self._rate for wave in waves]
        # Whisper's extractor would cut it there without a word.
        if self._most is not None and max(len(wave) for wave in waves) > self._most:
            raise ModelError(
                f"model {self.id!r} processes {self._most / self._rate:g} s, but a recording lasts "
                f"{max(seconds):.1f} s; shorten it, or leave it out"
            )
        inputs = self.to_device(
            self.processor(waves, sampling_rate=self._rate, return_tensors="pt", **self._padding())
        )
        # CTC: the most likely label of each frame; the processor merges equal neighbours and
        # blanks.
        if not self.model.can_generate():
            return seconds, self.model(**inputs).logits.argmax(dim=-1)
        return seconds, self.write(inputs, requests[0].max_new_tokens)

    def outputs(self, raw: Any) -> list[Output]:
        """Tokens to text. A model that labels frames generates no tokens."""
        seconds, value = raw
        texts: list[tuple[str, int | None]]
        if self.model.can_generate():
            texts = [*self.written(value)]
        else:
            texts = [(text, None) for text in self.processor.batch_decode(value)]
        return [
            Output(text=text, tokens_out=count, counted={"audio_seconds": length})
            for (text, count), length in zip(texts, seconds, strict=True)
        ]

    def _padding(self) -> dict[str, Any]:
        """Whisper's extractor pads every recording to 30 s itself; others pad a batch."""
        return {} if self._most is not None else {"padding": True}
