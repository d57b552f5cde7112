"""The auto class of transformers for each task."""

from __future__ import annotations

from typing import Any

from permille.workload.specs import ModelSpec

_HEADS = {
    "feature-extraction": "AutoModel",
    "token-classification": "AutoModelForTokenClassification",
    "fill-mask": "AutoModelForMaskedLM",
    "image-classification": "AutoModelForImageClassification",
    "object-detection": "AutoModelForObjectDetection",
    "image-to-text": "AutoModelForImageTextToText",
}


def auto_class(spec: ModelSpec, config: Any, task: str) -> str:
    """The name of transformers' class for a task with this kind of model."""
    if task in _HEADS:
        return _HEADS[task]
    if task == "automatic-speech-recognition":
        # Whisper's configuration has decoder_layers, a SpeechEncoderDecoder's a decoder;
        # Wav2Vec2's, whose frames are labelled, has neither.
        generates = hasattr(config, "decoder_layers") or hasattr(config, "decoder")
        return "AutoModelForSpeechSeq2Seq" if generates else "AutoModelForCTC"
    if spec.category == "task-specific" and task == "text-classification":
        return "AutoModelForSequenceClassification"
    if spec.category == "task-specific" and task == "question-answering" and spec.prompt is None:
        return "AutoModelForQuestionAnswering"
    two_part = getattr(config, "is_encoder_decoder", False)
    return "AutoModelForSeq2SeqLM" if two_part else "AutoModelForCausalLM"
