"""Datasets of the Hub, streamed by the datasets library: no scripts, and only the columns needed.

A split may be larger than any disk, so only its first :data:`MOST_ROWS` rows are read
(:data:`MOST_MEDIA` for images and recordings). The samples are drawn from those as from a file, by
the seed and the rows' ids, and stored in permille's cache under the commit, so that a study needs
the network only once.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from permille.assets import cache_folder
from permille.datasets import media, rows
from permille.datasets.rows import Row
from permille.datasets.values import Layout, layout, missing, row
from permille.errors import DatasetError
from permille.hub import client
from permille.hub.selection import COMMIT
from permille.output import write_whole
from permille.workload.protocols import Task
from permille.workload.samples import Dataset
from permille.workload.specs import DatasetSpec, HubSource

MOST_ROWS = 100_000
# Fewer, because every row up to the last one drawn from is downloaded.
MOST_MEDIA = 2_000
_NOWHERE = Path(os.devnull)
"""The root of a row's paths: rows from the Hub must not name files of this machine."""
_FORM = 1
"""The version of the cache format; it is part of the file's name."""


def open_dataset(
    spec: DatasetSpec, source: HubSource, task: Task, *, limit: int | None, seed: int
) -> Dataset:
    """At most ``limit`` samples of a dataset of the Hub.

    Raises:
        DatasetError: the library is not installed, or the Hub has no such dataset, revision,
            configuration, split or column, or cannot be reached.
    """
    # Not by importing it, which takes a second or more: the samples may be in the cache.
    if importlib.util.find_spec("datasets") is None:
        raise DatasetError(
            f"dataset {spec.name!r}: reading from the Hub needs the datasets library: "
            "pip install 'permille[datasets]'"
        )
    plan = _layout(spec, source, task)
    commit = _commit(source)
    # With the limits: a larger one would draw from other rows.
    kept = _kept_at([source, commit, plan, limit, seed, MOST_ROWS, MOST_MEDIA, _FORM])
    cached = _kept(kept, spec.name)
    if cached is None:
        reader = _Reader(source, commit, plan, spec.name)
        labelled = plan.reference is not None and plan.kinds[plan.reference] == "label"
        drawn = rows.collect(spec.name, reader.rows(), limit=limit, seed=seed, labelled=labelled)
        cached = msgspec.structs.replace(drawn, origin=_origin(source, commit, reader.cut_at))
        _keep(kept, cached)
    return cached


class _Reader:
    """One pass over a split. ``cut_at``: the number of rows read if the split may have more."""

    def __init__(self, source: HubSource, commit: str, plan: Layout, name: str) -> None:
        self._source, self._commit, self._plan, self._name = source, commit, plan, name
        self.cut_at: int | None = None

    def rows(self) -> Iterator[Row]:
        """The rows as samples or errors."""
        import datasets

        plan = self._plan
        heavy = any(kind in ("image", "audio") for kind in plan.kinds.values())
        most = MOST_MEDIA if heavy else MOST_ROWS
        datasets.disable_progress_bars()
        with client.one_line(DatasetError, f"dataset {self._name!r}", "dataset"):
            try:
                stream = self._open()
                features = stream.features
                for number, fields in enumerate(stream, 1):
                    named = {k: name_classes(fields[k], features[k]) for k in plan.used}
                    yield row(f"row {number}", number, _shaped(named, plan, self._source), plan)
                    # That the split ends exactly here would take another row to know.
                    if number == most:
                        self.cut_at = most
                        return
            # RuntimeError: the repository is a script (see _message).
            except (datasets.exceptions.DatasetsError, ValueError, RuntimeError) as error:
                raise DatasetError(f"dataset {self._name!r}: {_message(error)}") from error

    def _open(self) -> Any:
        """The split as a stream of the columns used, without decoding."""
        import datasets

        source = self._source
        stream = datasets.load_dataset(
            source.repo,
            name=source.config,
            split=source.split,
            revision=self._commit,
            data_files={source.split: source.files} if source.files else None,
            streaming=True,
        )
        if stream.features is None:  # JSON and CSV declare no columns; the first row shows them
            stream = stream._resolve_features()
        there = list(stream.features)
        if absent := sorted(self._plan.used - set(there)):
            raise missing(f"dataset {self._name!r} ({source.repo})", absent, there)
        stream = stream.select_columns(sorted(self._plan.used))
        for column, feature in stream.features.items():
            if isinstance(feature, datasets.Image | datasets.Audio):
                # Only the bytes: decoding is part of the inference, and would need further
                # libraries here.
                stream = stream.cast_column(column, type(feature)(decode=False))
        return stream


def name_classes(value: Any, feature: Any) -> Any:
    """``value`` with class names in place of class numbers. A number without a class (such as the
    Hub's -1 for a secret label) becomes None."""
    names = getattr(feature, "names", None)
    # Models answer with class names; a number is only an index into this dataset's list.
    if names is not None and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None
    if isinstance(feature, dict) and isinstance(value, dict):
        return {k: name_classes(v, feature.get(k)) for k, v in value.items()}
    inner = getattr(feature, "feature", None)
    if isinstance(inner, dict) and isinstance(value, dict):  # a list of records, by column
        return {k: [name_classes(x, inner.get(k)) for x in v] for k, v in value.items()}
    if inner is not None and isinstance(value, list):
        return [name_classes(item, inner) for item in value]
    return value


def _shaped(fields: dict[str, Any], plan: Layout, source: HubSource) -> dict[str, Any]:
    """A row in the format of local files: words of a text, boxes by their sides."""
    for name, column in plan.columns.items():
        kind, value = plan.kinds.get(name), fields[column]
        if kind == "words" and isinstance(value, str):
            fields[column] = value.split()
        elif kind == "objects" and source.boxes == "corners" and isinstance(value, dict):
            boxes = [_by_sides(box) for box in value.get("bbox") or []]
            fields[column] = {**value, "bbox": boxes}
    return fields


def _by_sides(box: Any) -> Any:
    """``[x0, y0, x1, y1]`` as ``[x, y, width, height]``; other values are passed on and refused
    later."""
    if isinstance(box, list) and len(box) == 4 and all(isinstance(n, int | float) for n in box):
        return [box[0], box[1], box[2] - box[0], box[3] - box[1]]
    return box


def _layout(spec: DatasetSpec, source: HubSource, task: Task) -> Layout:
    if not source.unscored or task.reference is None:
        return layout(spec, task, root=_NOWHERE)
    # The study gave the task these texts without answers to score, so no such column is needed.
    plan = layout(spec, task, root=_NOWHERE)
    columns = {k: v for k, v in plan.columns.items() if k != task.reference}
    return msgspec.structs.replace(plan, columns=columns, reference=None)


def _message(error: BaseException) -> str:
    text = " ".join(str(error).split())[:240]
    if "scripts are no longer supported" in text:
        return (
            "its repository is a script, which is not run; there may be a converted copy: "
            'revision = "refs/convert/parquet"'
        )
    return text


def _origin(source: HubSource, commit: str, cut_at: int | None) -> str:
    """The origin of the samples, for the record."""
    parts = [f"{source.repo}@{commit[:12]}", source.config, source.files, source.split]
    drawn = f"drawn from its first {cut_at:,} rows" if cut_at else None
    return ", ".join(part for part in [*parts, drawn] if part)


# --- the cache ------------------------------------------------------------------------------


def _commit(source: HubSource) -> str:
    """The commit of the revision; offline, the one it last resolved to."""
    if COMMIT.fullmatch(source.revision):
        return source.revision
    known = (
        _folder() / "refs" / hashlib.sha256(f"{source.repo}@{source.revision}".encode()).hexdigest()
    )
    if client.is_offline():
        try:
            return known.read_text(encoding="ascii")
        except OSError as error:
            raise DatasetError(
                f"dataset {source.repo} has not been read on this machine yet, and HF_HUB_OFFLINE "
                'is set; unset it, or give a path = "…"'
            ) from error
    # Not cached while there is a network: a branch can move, and a plan pins its current commit.
    commit = client.dataset_commit(source.repo, source.revision)
    _write(known, commit.encode("ascii"))
    return commit


def _folder() -> Path:
    return cache_folder() / "hub-datasets"


def _kept_at(key: Any) -> Path:
    digest = hashlib.sha256(msgspec.json.encode(key, order="sorted")).hexdigest()
    return _folder() / f"{digest}.json"


def _kept(path: Path, name: str) -> Dataset | None:
    """The samples drawn earlier; None if there are none or their files have changed."""
    try:
        dataset = msgspec.json.decode(path.read_bytes(), type=Dataset)
    except (OSError, msgspec.DecodeError):
        return None
    files = (v for s in dataset.samples for v in s.inputs.values() if media.is_reference(v))
    # Samples that were changed in the cache would be measured under the digest of the original
    # ones.
    if rows.digest(dataset.samples) != dataset.digest or not all(
        Path(value["path"]).is_file() for value in files
    ):
        return None
    return msgspec.structs.replace(dataset, name=name)


def _keep(path: Path, dataset: Dataset) -> None:
    _write(path, msgspec.json.encode(dataset))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
