"""Build a diffusers pipeline with random weights from a description."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from permille.architectures.descriptions import PipelineDescription, of
from permille.backends.transformers import stand_ins as standins
from permille.backends.transformers.replica import SEED, fill_zeros, quietly
from permille.errors import ModelError
from permille.workload.specs import ModelSpec

if TYPE_CHECKING:
    from permille.backends.diffusers.settings import Settings

_RANGE = 0.02
_PROMPT_TOKENS = 77
"""The input length of CLIP's text encoders, for any prompt."""
_CHECKER = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "projection_dim": 768,
}
"""The vision part of CLIP ViT-L/14, which all safety checkers use."""


def build(spec: ModelSpec, settings: Settings, device: Any) -> Any:
    """A replica of a pipeline on its device.

    Raises:
        ModelError: there is no description, or it is not of a pipeline.
    """
    import diffusers
    import torch

    described = of(spec)
    if not isinstance(described, PipelineDescription):
        raise ModelError(f"model {spec.id!r}: a replica of it is built by backend transformers")
    dtype = getattr(torch, settings.dtype)
    # Made on the device and in its type: in float32 in the machine's memory, it might not fit.
    with _dtype(dtype), torch.device(device):
        torch.manual_seed(SEED)
        made = parts(described)
    for model in made.values():
        fill_zeros(model, _RANGE)
        model.eval()
    made["scheduler"] = _scheduler(described)
    made["tokenizer"] = _tokenizer(made["text_encoder"].config)
    if "text_encoder_2" in made:
        made["tokenizer_2"] = _tokenizer(made["text_encoder_2"].config)
    kind = getattr(diffusers, described.pipeline)
    if "feature_extractor" in inspect.signature(kind).parameters:
        seen = described.safety_checker
        with quietly():
            made["feature_extractor"] = (
                standins.image_processor({"class": "CLIPImageProcessor"}) if seen else None
            )
    if "safety_checker" in inspect.signature(kind).parameters:
        made.setdefault("safety_checker", None)
        # Stated, because diffusers warns of a checker that is required and absent.
        made["requires_safety_checker"] = described.safety_checker
    return kind(**made)


def parts(described: PipelineDescription) -> dict[str, Any]:
    """The models of a pipeline by name, on torch's current device."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    values = described.parts
    unet = dict(values["unet"])
    if unet.get("mid_block_type") == "none":  # TOML has no null
        unet["mid_block_type"] = None
    made = {
        "text_encoder": CLIPTextModel(CLIPTextConfig(**values["text_encoder"])),
        "unet": UNet2DConditionModel(**unet),
        "vae": AutoencoderKL(**values["vae"]),
    }
    if "text_encoder_2" in values:
        second = CLIPTextConfig(**values["text_encoder_2"])
        made["text_encoder_2"] = CLIPTextModelWithProjection(second)
    if described.safety_checker:
        made["safety_checker"] = _checker()
    return made


def _checker() -> Any:
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig

    return StableDiffusionSafetyChecker(CLIPConfig(projection_dim=768, vision_config=_CHECKER))


def _scheduler(described: PipelineDescription) -> Any:
    import diffusers

    kind = getattr(diffusers, described.scheduler["class"])
    known = inspect.signature(kind).parameters
    return kind(**{name: value for name, value in described.scheduler.items() if name in known})


def _tokenizer(config: Any) -> Any:
    made = standins.tokenizer(config, "encoder")
    made.model_max_length = _PROMPT_TOKENS
    return made


@contextlib.contextmanager
def _dtype(dtype: Any) -> Iterator[None]:
    """Set torch's default floating-point type for models made inside the context."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
