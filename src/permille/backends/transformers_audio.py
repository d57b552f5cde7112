"""Recordings written down, by models that generate (Whisper) or label frames (CTC)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from permille.backends import Output, Sound
from permille.backends.pixels import waveform
from permille.backends.transformers_base import Runner


class Audio(Runner):
    """Speech recognisers."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        extractor = getattr(self.processor, "feature_extractor", self.processor)
        self._rate = int(extractor.sampling_rate)

    def run(self, requests: Sequence[Any]) -> Any:
        """One forward pass of all of them, or their generated texts."""
        if not all(isinstance(request, Sound) for request in requests):
            raise self.refuse(requests[0])
        waves = [waveform(request.content, self._rate) for request in requests]
        seconds = [len(wave) / self._rate for wave in waves]
        inputs = self.to_device(
            self.processor(
                waves, sampling_rate=self._rate, return_tensors="pt", **self._padding(waves)
            )
        )
        if not self.model.can_generate():
            return seconds, self.model(**inputs).logits.argmax(dim=-1)
        limit = self.forced_tokens or self.settings.max_new_tokens or 224
        made = self.model.generate(
            **inputs, max_new_tokens=limit, min_new_tokens=self.forced_tokens,
            do_sample=False, num_beams=1,
        )  # fmt: skip
        return seconds, made

    def outputs(self, raw: Any) -> list[Output]:
        """Tokens to text."""
        seconds, value = raw
        generates = self.model.can_generate()
        texts = self.processor.batch_decode(value, skip_special_tokens=generates)
        return [
            Output(
                text=text,
                tokens_out=len(tokens) if generates else None,
                counted={"audio_seconds": length},
            )
            for text, tokens, length in zip(texts, value.tolist(), seconds, strict=True)
        ]

    def _padding(self, waves: Sequence[Any]) -> dict[str, Any]:
        """Whisper's extractor pads every recording to 30 s itself; others pad a batch."""
        return {} if hasattr(self.model.config, "max_source_positions") else {"padding": True}
