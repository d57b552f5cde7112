"""Load a model's processor and weights from a folder.

:func:`open_folder` makes an :class:`OpenedModel` for any task, which the modalities use. Weights
are read from safetensors, and the model's own code is not run unless the study file allows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from permille.backends import model_config
from permille.backends.transformers.heads import auto_class
from permille.backends.transformers.opened import OpenedModel
from permille.errors import ModelError
from permille.workload.specs import ModelSpec

if TYPE_CHECKING:
    from permille.backends.transformers.settings import Settings


def open_folder(spec: ModelSpec, task: str, settings: Settings, device: Any) -> OpenedModel:
    """Processor and model for a task.

    Raises:
        ModelError: the files are damaged, or weights for the task are missing.
    """
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
            # None prefers safetensors. With False, transformers reads only pickles: it would fail
            # on a folder without one, and ignore safetensors of the same weights.
            use_safetensors=None if settings.allow_pickle else True,
            # Without it, transformers only warns of missing weights, and draws them at random.
            output_loading_info=True,
            **local,
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        message = " ".join(str(error).split())[:300]
        raise ModelError(f"model {spec.id!r}: {folder} cannot be loaded: {message}") from error
    # Of these tasks alone, the head reads the pooler; elsewhere, many folders lack it.
    pooled = task in ("text-classification", "image-classification")
    missing = sorted(key for key in info["missing_keys"] if pooled or "pooler" not in key)
    if missing:
        raise ModelError(
            f"model {spec.id!r}: {folder} has no weights for {', '.join(missing[:3])}; "
            f"it does not support {task}"
        )
    return OpenedModel(processor=processor, model=model, device=device, folder=folder)


def _open_processor(folder: str, config: Any, task: str, local: dict[str, Any]) -> Any:
    import transformers

    # AutoProcessor has none for a combination of two separate models.
    if task == "image-to-text" and config.model_type == "vision-encoder-decoder":
        return ImageAndText(
            transformers.AutoImageProcessor.from_pretrained(folder, **local),
            transformers.AutoTokenizer.from_pretrained(folder, **local),
        )
    reader = getattr(transformers, _PROCESSORS.get(task, "AutoTokenizer"))
    if task == "token-classification" and config.model_type in model_config.BYTE_LEVEL:
        return reader.from_pretrained(folder, add_prefix_space=True, **local)
    return reader.from_pretrained(folder, **local)


class ImageAndText:
    """An image processor and a tokenizer, for architectures without a combined processor."""

    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        self.image_processor, self.tokenizer = image_processor, tokenizer

    def __call__(self, images: Any, return_tensors: str) -> Any:
        """Images as the model's inputs."""
        return self.image_processor(images=images, return_tensors=return_tensors)


_PROCESSORS = {
    "image-classification": "AutoImageProcessor",
    "object-detection": "AutoImageProcessor",
    "image-to-text": "AutoProcessor",
    "automatic-speech-recognition": "AutoProcessor",
}
