"""Configurations of the architectures that permille can build without a download. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from permille.errors import ModelError
from permille.records import Record
from permille.suggestions import nearest
from permille.workload.specs import ModelSpec

_OF_PIPELINES = ("pipeline", "scheduler", "safety_checker")
_FIRST_OWNERS = (
    "albert", "distilbert", "facebookai", "google-bert", "google-t5", "openai-community"
)  # fmt: skip
"""Owners whose models had no owner prefix on the Hub in 2023, as here."""


class Description(Record):
    """A model's architecture: ``model_type`` and ``config`` as in transformers; ``images``, for a
    vision model, the values of its image processor. ``note`` explains why its number of parameters
    differs from the study's count."""

    id: str
    model_type: str
    config: dict[str, Any]
    images: dict[str, Any] | None = None
    note: str | None = None


class PipelineDescription(Record):
    """A pipeline of diffusers: its class, the ``class`` and values of its ``scheduler``, whether a
    ``safety_checker`` examines its images, and the values of its ``parts`` (``unet``, ``vae``,
    ``text_encoder``, ``text_encoder_2``). Steps and sizes are the pipeline's own defaults."""

    id: str
    pipeline: str
    scheduler: dict[str, Any]
    safety_checker: bool
    parts: dict[str, dict[str, Any]]
    note: str | None = None


@cache
def _tree() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("descriptions.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def ids() -> list[str]:
    """The models that are described, sorted."""
    return sorted(_tree()["models"])


def of(spec: ModelSpec) -> Description | PipelineDescription:
    """The architecture to build a replica from: the one named in its settings, or the model's own.

    Raises:
        ModelError: permille ships no description of it.
    """
    return describe(spec.settings.get("architecture") or spec.id)


def describe(model_id: str) -> Description | PipelineDescription:
    """The architecture of a model.

    Raises:
        ModelError: permille ships no description of it.
    """
    tree = _tree()
    owner, _, name = model_id.partition("/")
    if owner.lower() in _FIRST_OWNERS and name in tree["models"]:
        model_id = name
    if model_id not in tree["models"]:
        more = nearest(model_id, ids(), "permille presets power-hungry-2023")
        raise ModelError(
            f"model {model_id!r}: no description of its architecture ships with permille, so it"
            f' cannot be run with weights = "replica"; {more}'
        )
    entry = _resolved(tree["models"][model_id], {**tree["shapes"], **tree["pipelines"]})
    note = entry.pop("note", None)
    if "pipeline" in entry:
        own = {key: entry.pop(key) for key in _OF_PIPELINES}
        return PipelineDescription(id=model_id, parts=entry, note=note, **own)
    images = entry.pop("images", None)
    model_type = entry.pop("model_type")
    return Description(id=model_id, model_type=model_type, config=entry, images=images, note=note)


def check(spec: ModelSpec, task: str) -> None:
    """Check that a replica of this model can be built for this task.

    Raises:
        ModelError: no description, one for another backend, or the model also names files.
    """
    description = of(spec)
    wanted = "diffusers" if isinstance(description, PipelineDescription) else "transformers"
    if spec.backend != wanted:
        raise ModelError(f"model {spec.id!r}: a replica of it is built by backend {wanted}")
    if spec.settings.get("path") is not None:
        raise ModelError(
            f'model {spec.id!r}: weights = "replica" reads no files; remove either path or weights'
        )


def _resolved(entry: Mapping[str, Any], shapes: Mapping[str, Any]) -> dict[str, Any]:
    """An entry merged over the entry that it is based on."""
    own = {key: value for key, value in entry.items() if key != "like"}
    return _merged(_resolved(shapes[entry["like"]], shapes), own) if "like" in entry else own


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Merge ``second`` over ``first``, tables recursively. The result shares nothing with
    either."""
    # Copied, because the tree is kept: a caller that changed its table would change those of all
    # models that are like it.
    merged = {key: _merged(value, {}) if isinstance(value, dict) else value
              for key, value in first.items()}  # fmt: skip
    for key, value in second.items():
        before = merged.get(key)
        merged[key] = _merged(before, value) if isinstance(before, dict) else value
    return merged
