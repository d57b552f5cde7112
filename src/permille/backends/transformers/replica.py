"""Build a model with random weights from a description, using its architecture's own initialiser.

Matrices are never zero, because a processor's power depends on the values that it multiplies. A few
architectures initialise some matrices to zero; these get random values from a normal distribution
with the configuration's ``initializer_range`` instead. Biases that start at zero stay zero.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from permille.architectures.descriptions import Description, of
from permille.backends.transformers import stand_ins as standins
from permille.errors import ModelError
from permille.workload.specs import ModelSpec

if TYPE_CHECKING:
    from permille.backends.transformers.opened import OpenedModel
    from permille.backends.transformers.settings import Settings

SEED = 0
DEFAULT_TOKENS = 20
"""Tokens per answer if the study file does not say how many; transformers' own default."""
_RANGE = 0.02
"""The ``initializer_range`` of configurations without one; the most common value."""


def build(spec: ModelSpec, task: str, settings: Settings, device: Any) -> OpenedModel:
    """A replica on its device, with stand-ins for its tokenizer and image processor.

    Raises:
        ModelError: there is no description, or it is of a model for another task.
    """
    import torch
    import transformers

    from permille.backends.transformers.heads import auto_class
    from permille.backends.transformers.opened import OpenedModel

    described = of(spec)
    if not isinstance(described, Description):
        raise ModelError(f"model {spec.id!r}: a replica of it is built by backend diffusers")
    config = configuration(described)
    kind = getattr(transformers, auto_class(spec, config, task))
    try:
        # Made where it will run: a large model may not fit into the machine's own memory.
        with quietly(), torch.device(device):
            torch.manual_seed(SEED)
            dtype = getattr(torch, settings.dtype or "float32")
            model = kind.from_config(config, dtype=dtype)
    except ValueError as error:  # from transformers: no such head for this kind of model
        raise ModelError(f"model {spec.id!r}: its architecture does not support {task}") from error
    fill_zeros(model, getattr(config, "initializer_range", None) or _RANGE)
    tokens = settings.max_new_tokens or DEFAULT_TOKENS
    return OpenedModel(
        processor=processor(described, config, task, spec.prompt or ""),
        model=model,
        device=device,
        folder=None,
        forced_tokens=tokens,
    )


def configuration(described: Description) -> Any:
    """transformers' configuration object of a description."""
    import transformers

    with quietly():
        return transformers.AutoConfig.for_model(described.model_type, **described.config)


def fill_zeros(model: Any, scale: float) -> None:
    """Fill all-zero matrices with random values of this standard deviation."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            # The first row decides for most matrices: reading all of tiny-sd's 530 million
            # parameters took 1.3 s of the 14 s that it takes to build it.
            if parameter.dim() >= 2 and not (parameter[:1].any() or parameter.any()):
                parameter.normal_(std=scale)


def processor(described: Description, config: Any, task: str, prompt: str = "") -> Any:
    """The model's preprocessor: a tokenizer, an image processor, or both."""
    images = described.images and standins.image_processor(described.images)
    if images is not None and task != "image-to-text":
        return images
    # The part that reads or writes text has the vocabulary.
    inner = getattr(config, "text_config", None) or getattr(config, "decoder", None) or config
    if getattr(inner, "is_encoder_decoder", False):
        shape: standins.Kind = "encoder-decoder"
    elif task in ("text-generation", "chat") or images is not None or _decodes(config):
        shape = "decoder"
    else:
        shape = "encoder"
    made = standins.tokenizer(inner, shape, prompt)
    return standins.Captions(images, made) if images is not None else made


def _decodes(config: Any) -> bool:
    """Whether the architecture has only a decoder."""
    import transformers

    # Encoders such as BERT are in both lists, because they can be made decoders (is_decoder).
    masked = type(config) in transformers.AutoModelForMaskedLM._model_mapping
    return not masked and type(config) in transformers.AutoModelForCausalLM._model_mapping


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Suppress transformers' advice about future classes."""
    import transformers

    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
