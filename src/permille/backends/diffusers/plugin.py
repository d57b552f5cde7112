"""Images from prompts, by pipelines of the Hub's format in a local folder, through diffusers.

    backend = "diffusers"
    path = "models/stable-diffusion-v1-5"
    device = "cuda"     # cpu if not given
    dtype = "float16"   # float32 if not given
    steps = 50          # the default is the pipeline's own, as for the three below
    height = 512
    width = 512
    guidance = 7.5

One image is one inference; its initial noise has the same seed each time. Everything that the
folder's pipeline does is included, even a safety checker. Weights are read from safetensors, a
pickle is refused unless ``allow_pickle = true``, and code that comes with a model is never run. The
device has finished when an inference returns.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from permille.backends import files
from permille.backends.diffusers.settings import Settings
from permille.backends.torch_device import find_device, synchronise
from permille.errors import ModelError
from permille.records import Record
from permille.records.cell import Category, ModelFacts
from permille.workload.outputs import Output
from permille.workload.protocols import Backend, Loaded
from permille.workload.requests import Draw
from permille.workload.specs import ModelSpec

_INDEX = "model_index.json"
_MAX_INDEX_BYTES = 1 << 20
_SEED = 0


class DiffusersBackend:
    """The backend, as a plug-in."""

    name = "diffusers"
    tasks: Mapping[str, frozenset[Category]] = {"text-to-image": frozenset({"task-specific"})}
    settings: type[Record] = Settings
    requires: tuple[str, ...] = ("torch", "transformers", "diffusers", "PIL")
    install = "pip install 'permille[diffusers]'"
    hub_format = "diffusers"

    def check(self, model: ModelSpec, task: str) -> None:
        """Check that the folder contains a pipeline in a permitted format.

        Raises:
            ModelError: no model_index.json, parts of foreign code, only pickles, or a setting out
                of range.
        """
        settings = msgspec.convert(model.settings, Settings)
        for key in ("steps", "height", "width", "batch_size", "threads"):
            value = getattr(settings, key)
            if value is not None and value < 1:
                raise ModelError(f"model {model.id!r}: {key} must be at least 1, not {value}")
        if (settings.height is None) != (settings.width is None):
            # Pipelines silently ignore a single one and use their own size.
            raise ModelError(f"model {model.id!r}: give both height and width, or neither")
        if settings.weights == "replica":
            from permille.architectures.descriptions import check

            check(model, task)
        elif settings.path is None:
            raise ModelError(
                f"model {model.id!r}: set path to the pipeline's folder"
                ' (or, for its energy and time only, weights = "replica")'
            )
        else:
            check_pipeline(model.id, Path(settings.path), allow_pickle=settings.allow_pickle)

    def load(self, model: ModelSpec, task: str) -> Loaded:
        """The pipeline on its device.

        Raises:
            ModelError: the device does not exist, or the files are damaged.
        """
        self.check(model, task)
        settings = msgspec.convert(model.settings, Settings)
        device = find_device(model.id, settings.device)
        if settings.weights == "replica":
            from permille.backends.diffusers.replica import build

            return Drawing(model, build(model, settings, device), settings, device, None)
        pipeline = open_pipeline(model, settings)
        return Drawing(model, pipeline, settings, device, weights_in(Path(str(settings.path))))


def check_pipeline(model_id: str, folder: Path, *, allow_pickle: bool) -> None:
    """Check that ``folder`` contains a pipeline of known libraries in a permitted format.

    Raises:
        ModelError: it does not.
    """
    index = files.existing(model_id, "path", folder / _INDEX)
    try:
        with index.open("rb") as stream:
            parts = json.loads(stream.read(_MAX_INDEX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"model {model_id!r}: {index} is not JSON: {error}") from error
    if not isinstance(parts, dict) or not isinstance(parts.get("_class_name"), str):
        raise ModelError(f"model {model_id!r}: {index} does not name a diffusers pipeline")
    # diffusers imports whatever library model_index.json names for a part, even without
    # trust_remote_code, and importing a module runs it.
    for name, part in parts.items():
        if not name.startswith("_") and isinstance(part, list) and not _known(part[:1]):
            raise ModelError(
                f"model {model_id!r}: {index}: {name} is from {part[0]!r}; only parts of diffusers "
                "and transformers are loaded"
            )
    if not allow_pickle and not any(weights_in(folder)):
        raise ModelError(f"model {model_id!r}: no *.safetensors in the folders of {folder}")
    # The only pickles that diffusers and transformers read of a part: pytorch_model.bin,
    # diffusion_pytorch_model.bin, and their shards.
    for pickled in sorted(folder.glob("*/*.bin")):
        if not allow_pickle and not any(pickled.parent.glob("*.safetensors")):
            raise ModelError(
                f"model {model_id!r}: {pickled.relative_to(folder)} is a pickle, which can run "
                "code; convert it to safetensors, or set allow_pickle = true if you trust it"
            )


def _known(library: list[Any]) -> bool:
    """Whether a part is from diffusers, a module of its own pipelines, transformers, or absent."""
    name = library[0] if library else None
    if name in (None, "diffusers", "transformers"):
        return True
    if not isinstance(name, str) or not name.isidentifier():
        return False
    # Looked up, not imported: a plan is checked without loading torch.
    spec = importlib.util.find_spec("diffusers")
    places = spec.submodule_search_locations if spec else None
    return any(Path(place, "pipelines", name).is_dir() for place in places or ())


def weights_in(folder: Path) -> list[Path]:
    """The weights of a pipeline's parts, without variants (``model.fp16.safetensors``), which are
    copies."""
    return [file for file in sorted(folder.glob("*/*.safetensors")) if "." not in file.stem]


def open_pipeline(spec: ModelSpec, settings: Settings) -> Any:
    """Load the pipeline of a folder, on the CPU.

    Raises:
        ModelError: the files are damaged, or are not a pipeline.
    """
    import torch
    from diffusers import DiffusionPipeline
    from diffusers.utils import logging
    from safetensors import SafetensorError

    # A progress bar would be drawn within the measured load.
    logging.disable_progress_bar()
    try:
        return DiffusionPipeline.from_pretrained(
            settings.path,
            dtype=getattr(torch, settings.dtype),
            # None prefers safetensors. With False, diffusers reads only pickles, and would fail on
            # every part of the pipeline that has none.
            use_safetensors=None if settings.allow_pickle else True,
            # A part that is missing is an error, never a download within the measured load.
            local_files_only=True,
            trust_remote_code=False,
        )
    except (
        *(OSError, ValueError, KeyError, RuntimeError, ImportError),
        *(AttributeError, TypeError, SafetensorError),
    ) as error:
        message = " ".join(str(error).split())[:300]
        raise ModelError(
            f"model {spec.id!r}: {settings.path} cannot be loaded: {message}"
        ) from error


class Drawing:
    """A loaded pipeline. ``weights``: their files; None if they are random."""

    def __init__(
        self,
        spec: ModelSpec,
        pipeline: Any,
        settings: Settings,
        device: Any,
        weights: Sequence[Path] | None,
    ) -> None:
        import torch

        self._torch, self._device, self._weights = torch, device, weights
        self._id = spec.id
        self.device = str(device)
        self.batch_size = settings.batch_size
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        self._pipeline = pipeline.to(device)
        # A progress bar would be drawn at every step, within the measured span.
        self._pipeline.set_progress_bar_config(disable=True)
        given = {
            "num_inference_steps": settings.steps,
            "height": settings.height,
            "width": settings.width,
            "guidance_scale": settings.guidance,
        }
        self._given = {name: value for name, value in given.items() if value is not None}

    @property
    def facts(self) -> ModelFacts:
        """Parameters are counted in memory, over all parts; bytes on disk."""
        modules = [
            part
            for part in self._pipeline.components.values()
            if isinstance(part, self._torch.nn.Module)
        ]
        return ModelFacts(
            params=sum(p.numel() for part in modules for p in part.parameters()),
            architecture=type(self._pipeline).__name__,
            size_bytes=sum(file.stat().st_size for file in self._weights or ()) or None,
            weights="replica" if self._weights is None else None,
        )

    def infer(self, request: Any) -> Any:
        """Generate one image; the device has finished when this returns."""
        return self.infer_batch((request,))

    def infer_batch(self, requests: Sequence[Any]) -> Any:
        """Generate one image per prompt; returns (prompt, (width, height)), without the pixels."""
        if not all(isinstance(request, Draw) for request in requests):
            raise ModelError(
                f"backend diffusers does not support a {type(requests[0]).__name__} request"
            )
        prompts = [request.prompt for request in requests]
        # On the CPU: a GPU draws other numbers, and so do different GPUs. One for each prompt: its
        # image would otherwise depend on its place in the batch
        # (https://huggingface.co/docs/diffusers/en/using-diffusers/reusing_seeds).
        noise = [self._torch.Generator("cpu").manual_seed(_SEED) for _ in prompts]
        with self._torch.inference_mode():
            try:
                images = self._pipeline(prompts, generator=noise, **self._given).images
            # Pipelines check their arguments only when called: sides must be divisible by 8.
            except (ValueError, TypeError) as error:
                message = " ".join(str(error).split())[:300]
                raise ModelError(f"model {self._id!r}: {message}") from error
        synchronise(self._device)
        # Without the pixels, which nothing scores: the answers of a span are kept until it has
        # ended, and 1,000 images of 1024 x 1024 are 3 GB.
        return [(prompt, image.size) for prompt, image in zip(prompts, images, strict=True)]

    def read(self, raw: Any) -> Output:
        """The image of :meth:`infer`, counted."""
        return self.read_batch(raw)[0]

    def read_batch(self, raw: Any) -> list[Output]:
        """The images of :meth:`infer_batch`, counted."""
        return [
            Output(
                tokens_in=self._tokens(prompt),
                counted={"images": 1.0, "pixels": float(width * height)},
            )
            for prompt, (width, height) in raw
        ]

    def close(self) -> None:
        """Release the pipeline."""
        del self._pipeline

    def _tokens(self, prompt: str) -> int | None:
        """The number of tokens of a prompt for the pipeline's first text encoder."""
        tokenizer = self._pipeline.components.get("tokenizer")
        if tokenizer is None:
            return None
        most = tokenizer.model_max_length
        return len(tokenizer(prompt, truncation=True, max_length=most)["input_ids"])


backend: Backend = DiffusersBackend()
