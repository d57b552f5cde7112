"""A folder of a model, opened by transformers: safetensors, and no code of the model's own."""

from __future__ import annotations

from typing import Any

from permille.backends import ModelSpec
from permille.errors import ModelError


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


def open_model(
    spec: ModelSpec, task: str, folder: str, *, dtype: str | None, pickle: bool
) -> tuple[Any, Any]:
    """Tokenizer and model of a folder, for a task.

    Raises:
        ModelError: the files are damaged, or lack weights that the task needs.
    """
    import transformers
    from safetensors import SafetensorError

    transformers.utils.logging.disable_progress_bar()
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **local)
        kind = getattr(transformers, _auto_class(spec, config, task))
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
        model, info = kind.from_pretrained(
            folder,
            dtype=dtype or "auto",
            use_safetensors=not pickle,
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
    return tokenizer, model


def _auto_class(spec: ModelSpec, config: Any, task: str) -> str:
    if task == "feature-extraction":
        return "AutoModel"
    if spec.category == "task-specific" and task == "text-classification":
        return "AutoModelForSequenceClassification"
    if spec.category == "task-specific" and task == "question-answering" and spec.prompt is None:
        return "AutoModelForQuestionAnswering"
    two_part = getattr(config, "is_encoder_decoder", False)
    return "AutoModelForSeq2SeqLM" if two_part else "AutoModelForCausalLM"
