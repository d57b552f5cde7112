"""Where a model's processor and weights come from: the seam of backend transformers.

:func:`open_model` is the one place that makes an :class:`Opened`, for every task; the modalities
take it as it is. Whatever else can supply a processor and a model (weights drawn at random, say)
returns an ``Opened`` from there; whatever can turn a name into a folder does it before, so that
``settings.path`` is a folder here. It is read from safetensors, and code of the model's own is not
run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from permille.backends import ModelSpec
from permille.errors import ModelError

if TYPE_CHECKING:
    from permille.backends.transformers import Settings


@dataclass(frozen=True)
class Opened:
    """A model ready for its device, and what makes its inputs: a tokenizer, an image processor, or
    both. ``folder`` is where they were read, None if nowhere. ``forced_tokens``: what is generated
    is exactly this long, whatever the model says; None: until it ends."""

    processor: Any
    model: Any
    device: Any
    folder: str | None
    forced_tokens: int | None = None


def find_device(model_id: str, name: str) -> Any:
    """torch's device of that name.

    Raises:
        ModelError: there is none of it here.
    """
    import torch

    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(
            f"model {model_id!r}: device {name!r}: cpu, cuda, cuda:1 or mps"
        ) from error
    there = {
        "cpu": True,
        "cuda": (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise ModelError(f"model {model_id!r}: this torch sees no device {name!r}")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def open_model(spec: ModelSpec, task: str, settings: Settings) -> Opened:
    """Processor and model for a task.

    Raises:
        ModelError: the device is not there, the files are damaged, or lack weights that the task
            needs; or there is no description to build a replica from.
    """
    device = find_device(spec.id, settings.device)
    if settings.weights == "replica":
        from permille.replicas.building import build

        return build(spec, task, settings, device)
    return _open_folder(spec, task, settings, device)


def _open_folder(spec: ModelSpec, task: str, settings: Settings, device: Any) -> Opened:
    import transformers
    from safetensors import SafetensorError

    transformers.utils.logging.disable_progress_bar()
    folder = str(settings.path)
    local = {"local_files_only": True, "trust_remote_code": settings.trust_remote_code}
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **local)
        kind = getattr(transformers, auto_class(spec, config, task))
        processor = _open_processor(folder, config, task, local)
        model, info = kind.from_pretrained(
            folder,
            dtype=settings.dtype or "auto",
            use_safetensors=not settings.allow_pickle,
            output_loading_info=True,
            **local,
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        said = " ".join(str(error).split())[:300]
        raise ModelError(f"model {spec.id!r}: {folder} cannot be loaded: {said}") from error
    missing = sorted(key for key in info["missing_keys"] if "pooler" not in key)
    if missing:
        raise ModelError(
            f"model {spec.id!r}: {folder} has no weights for {', '.join(missing[:3])}; "
            f"it was not made for {task}"
        )
    return Opened(processor=processor, model=model, device=device, folder=folder)


def _open_processor(folder: str, config: Any, task: str, local: dict[str, Any]) -> Any:
    import transformers

    if task == "image-to-text" and config.model_type == "vision-encoder-decoder":
        return ImageAndText(
            transformers.AutoImageProcessor.from_pretrained(folder, **local),
            transformers.AutoTokenizer.from_pretrained(folder, **local),
        )
    reader = getattr(transformers, _PROCESSORS.get(task, "AutoTokenizer"))
    if task == "token-classification" and config.model_type in _BYTE_LEVEL:
        return reader.from_pretrained(folder, add_prefix_space=True, **local)
    return reader.from_pretrained(folder, **local)


class ImageAndText:
    """The two halves of a processor, for architectures that have no whole one."""

    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        self.image_processor, self.tokenizer = image_processor, tokenizer

    def __call__(self, images: Any, return_tensors: str) -> Any:
        """Images as the model takes them."""
        return self.image_processor(images=images, return_tensors=return_tensors)


_BYTE_LEVEL = ("roberta", "longformer", "gpt2", "bloom", "deberta", "bart")
"""Architectures whose tokenizers take words one by one only with a blank before each."""

_PROCESSORS = {
    "image-classification": "AutoImageProcessor",
    "object-detection": "AutoImageProcessor",
    "image-to-text": "AutoProcessor",
    "automatic-speech-recognition": "AutoProcessor",
}

_HEADS = {
    "feature-extraction": "AutoModel",
    "token-classification": "AutoModelForTokenClassification",
    "fill-mask": "AutoModelForMaskedLM",
    "image-classification": "AutoModelForImageClassification",
    "object-detection": "AutoModelForObjectDetection",
    "image-to-text": "AutoModelForImageTextToText",
}


def auto_class(spec: ModelSpec, config: Any, task: str) -> str:
    """The name of transformers' class that does a task with such a model."""
    if task in _HEADS:
        return _HEADS[task]
    if task == "automatic-speech-recognition":
        generates = hasattr(config, "decoder_layers") or hasattr(config, "decoder")
        return "AutoModelForSpeechSeq2Seq" if generates else "AutoModelForCTC"
    if spec.category == "task-specific" and task == "text-classification":
        return "AutoModelForSequenceClassification"
    if spec.category == "task-specific" and task == "question-answering" and spec.prompt is None:
        return "AutoModelForQuestionAnswering"
    two_part = getattr(config, "is_encoder_decoder", False)
    return "AutoModelForSeq2SeqLM" if two_part else "AutoModelForCausalLM"
