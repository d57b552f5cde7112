"""Select the files of a model's repository to download: weights without code, and the files needed
to read them. Pure.

A backend that supports models from the Hub has ``hub_format``, one of :data:`FORMATS`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from permille.errors import ModelError
from permille.records import Record

FORMATS = ("transformers", "diffusers", "onnx", "gguf")
COMMIT = re.compile(r"[0-9a-f]{40}")
"""A full commit hash: a revision that cannot move."""
_READERS = (".json", ".txt", ".model", ".jinja", ".tiktoken")
"""Configurations, vocabularies, tokenizers, templates."""
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_SHARD = re.compile(r"(.*)-\d{5}-of-(\d{5})(\.\w+)")
_PART = re.compile(r"(?:model|diffusion_pytorch_model)(?:-\d{5}-of-\d{5})?\.safetensors")
"""The weights of a part of a pipeline, excluding variants such as model.fp16.safetensors."""


class Wanted(Record):
    """The model that a study file requests: ``repo`` and ``revision`` (a branch, a tag or a commit)
    on the Hub, in one of the :data:`FORMATS`; ``file`` if a repository has several."""

    model_id: str
    repo: str
    format: str
    revision: str = "main"
    file: str | None = None
    allow_pickle: bool = False
    remote_code: bool = False


class Chosen(Record):
    """The files to fetch, and the one that is the model (None: the whole folder is)."""

    names: tuple[str, ...]
    main: str | None = None


def choose(wanted: Wanted, names: Sequence[str]) -> Chosen:
    """The files of a repository that a model needs.

    Raises:
        ModelError: it has no such weights, only pickles, several to choose from, or not all parts
            of one.
    """
    chosen = {
        "transformers": _transformers,
        "diffusers": _diffusers,
        "onnx": _onnx,
        "gguf": _gguf,
    }[wanted.format](wanted, sorted(names))
    _check_whole(wanted, chosen.names)
    return chosen


def _transformers(wanted: Wanted, names: list[str]) -> Chosen:
    top = [name for name in names if "/" not in name]
    weights = transformers_weights(top)
    if not weights:
        weights = _pickles(wanted, [n for n in top if n.startswith("pytorch_model")], top)
    code = [n for n in names if n.endswith(".py")] if wanted.remote_code else []
    return Chosen(names=(*weights, *_readers(top), *code))


def transformers_weights(names: Sequence[str]) -> list[str]:
    """Of the files in a folder, the safetensors that transformers loads."""
    if "model.safetensors" in names:
        return ["model.safetensors"]
    # Before any others: Mistral's repositories have the same weights in consolidated.safetensors.
    shards = [n for n in names if re.fullmatch(r"model-\d{5}-of-\d{5}\.safetensors", n)]
    return shards or [n for n in names if n.endswith(".safetensors")]


def _diffusers(wanted: Wanted, names: list[str]) -> Chosen:
    if "model_index.json" not in names:
        raise ModelError(f"{_at(wanted)} has no model_index.json; it is not a diffusers pipeline")
    parts = [name for name in names if name.count("/") == 1]
    weights = [n for n in parts if _PART.fullmatch(n.partition("/")[2])]
    if not weights:
        weights = _pickles(wanted, [], parts)
    return Chosen(names=("model_index.json", *weights, *_readers(parts)))


def _onnx(wanted: Wanted, names: list[str]) -> Chosen:
    models = [name for name in names if name.endswith(".onnx")]
    usual = next((n for n in ("model.onnx", "onnx/model.onnx") if n in models), None)
    model = _one(wanted, models, "ONNX model", usual)
    # A model above 2 GiB, protobuf's limit, has its weights beside it, in model.onnx_data.
    data = [n for n in names if n.startswith(model) and n != model]
    folder = model.rpartition("/")[0]
    # In repositories with onnx/model.onnx, the configuration is at the top.
    beside = [n for n in names if n.rpartition("/")[0] in ("", folder)]
    return Chosen(names=(model, *data, *_readers(beside)), main=model)


def _gguf(wanted: Wanted, names: list[str]) -> Chosen:
    models = [name for name in names if name.endswith(".gguf")]
    # A model in several parts is named by its first; llama.cpp finds the others.
    firsts = [n for n in models if not (m := _SHARD.fullmatch(n)) or "-00001-of-" in m[0]]
    model = _one(wanted, firsts, "GGUF file", None)
    shard = _SHARD.fullmatch(model)
    if shard is None:
        return Chosen(names=(model,), main=model)
    # Of the same number of parts: a repository may have the same model split in two ways.
    parts = [n for n in models if (m := _SHARD.fullmatch(n)) and m.group(1, 2) == shard.group(1, 2)]
    return Chosen(names=tuple(parts), main=model)


def _one(wanted: Wanted, there: list[str], what: str, usual: str | None) -> str:
    """The requested file or, by default, the only or usual one."""
    if wanted.file is not None:
        if wanted.file not in there:
            raise ModelError(f"{_at(wanted)} has no {what} {wanted.file!r}; {_list(there)}")
        return wanted.file
    if usual is not None:
        return usual
    if len(there) != 1:
        mend = 'choose one: file = "…"; ' if there else ""
        raise ModelError(f"{_at(wanted)}: {len(there)} {what}s; {mend}{_list(there)}")
    return there[0]


def _pickles(wanted: Wanted, allowed: list[str], names: list[str]) -> list[str]:
    """The pickled weights, if the study file allows them."""
    pickled = [name for name in names if name.endswith(_PICKLES)]
    if not pickled:
        raise ModelError(f"{_at(wanted)} has no *.safetensors; {_list(names)}")
    if not wanted.allow_pickle or not allowed:
        # A bot of the Hub converts models, and leaves the result on a pull request for their owners
        # (https://huggingface.co/spaces/safetensors/convert).
        raise ModelError(
            f"{_at(wanted)} has {pickled[0]}, a pickle, which can run code, and no safetensors; "
            "many repositories have them on the revision refs/pr/N of a pull request"
            + ("; or set allow_pickle = true if you trust it" if allowed else "")
        )
    return [name for name in allowed if name.endswith(".bin")]


def _readers(names: Sequence[str]) -> list[str]:
    return [name for name in names if name.endswith(_READERS)]


def _check_whole(wanted: Wanted, names: Sequence[str]) -> None:
    """Check that a file in several parts is complete."""
    parts: dict[tuple[str, int], int] = {}
    for name in names:
        if match := _SHARD.fullmatch(name):
            key = (match[1], int(match[2]))
            parts[key] = parts.get(key, 0) + 1
    for (stem, number), there in parts.items():
        if there != number:
            raise ModelError(f"{_at(wanted)}: {stem} has {there} of its {number} parts")


def _at(wanted: Wanted) -> str:
    return f"model {wanted.model_id!r}: {wanted.repo} ({wanted.revision[:12]})"


def _list(names: Sequence[str]) -> str:
    if not names:
        return "there are none"
    shown = ", ".join(names[:10])
    return f"available: {shown}{', …' if len(names) > 10 else ''}"
