"""Select the files of a model's repository to download: weights without code, and the files needed
to read them. Pure.

A backend that supports models from the Hub has ``hub_format``, one of :data:`FORMATS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from permille.errors import ModelError
from permille.records import Record

FORMATS = ("transformers", "diffusers", "onnx", "gguf")
COMMIT = re.compile(r"[0-9a-f]{40}")
"""A full commit hash: a revision that cannot move."""
_READERS = (".json", ".txt", ".model", ".jinja", ".tiktoken")
"""Configurations, vocabularies, tokenizers, templates."""
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.\w+)")
_PIPELINE = ("model", "diffusion_pytorch_model")
"""The stems of the weights in a part of a pipeline: of transformers' classes, and of diffusers'."""


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


class Shard(NamedTuple):
    """One file of weights that are split into ``of``, by its name."""

    stem: str
    number: int
    of: int
    suffix: str


def shard_of(name: str) -> Shard | None:
    """The parts of a shard's name; None for a file that holds all the weights."""
    match = _SHARD.fullmatch(name)
    return match and Shard(match[1], int(match[2]), int(match[3]), match[4])


def shards_with(first: Shard, names: Iterable[str]) -> list[str]:
    """Of these names, the shards of the same weights."""
    # Of the same number: a folder may have the same model split in two ways.
    return sorted(
        name
        for name in names
        if (shard := shard_of(name)) and shard._replace(number=first.number) == first
    )


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
    shards = [n for n in names if _is_safetensors(n, "model")]
    return shards or [n for n in names if n.endswith(".safetensors")]


def _is_safetensors(name: str, *stems: str) -> bool:
    """Whether it is a file of these weights, whole or a shard. Variants have other stems, such as
    ``model.fp16``."""
    shard, path = shard_of(name), PurePosixPath(name)
    stem, suffix = (shard.stem, shard.suffix) if shard else (path.stem, path.suffix)
    return stem in stems and suffix == ".safetensors"


def _diffusers(wanted: Wanted, names: list[str]) -> Chosen:
    if "model_index.json" not in names:
        raise ModelError(f"{_at(wanted)} has no model_index.json; it is not a diffusers pipeline")
    parts = [name for name in names if name.count("/") == 1]
    weights = [n for n in parts if _is_safetensors(n.partition("/")[2], *_PIPELINE)]
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
    firsts = [n for n in models if not (shard := shard_of(n)) or shard.number == 1]
    model = _one(wanted, firsts, "GGUF file", None)
    first = shard_of(model)
    if first is None:
        return Chosen(names=(model,), main=model)
    return Chosen(names=tuple(shards_with(first, models)), main=model)


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
    # llama.cpp counts the parts of a GGUF file from 1 alone; repositories of safetensors have both.
    origins = (1,) if wanted.format == "gguf" else (0, 1)
    parts: dict[tuple[str, int], set[int]] = {}
    for name in names:
        if shard := shard_of(name):
            parts.setdefault((shard.stem, shard.of), set()).add(shard.number)
    for (stem, of), numbers in parts.items():
        # By their numbers: a stray shard of another upload must not stand in for a missing one.
        there = max(len(numbers & set(range(first, first + of))) for first in origins)
        if there != of:
            raise ModelError(f"{_at(wanted)}: {stem} has {there} of its {of} parts")


def _at(wanted: Wanted) -> str:
    return f"model {wanted.model_id!r}: {wanted.repo} ({wanted.revision[:12]})"


def _list(names: Sequence[str]) -> str:
    if not names:
        return "there are none"
    shown = ", ".join(names[:10])
    return f"available: {shown}{', …' if len(names) > 10 else ''}"
