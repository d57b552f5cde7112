"""Draw samples from a stream of rows, and record which rows were skipped and why."""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from permille.datasets import media
from permille.errors import DatasetError
from permille.records import Record
from permille.workload.samples import Dataset, Sample

MAX_NAMED = 10
"""The number of bad rows that are named; all are counted."""
MAX_HELD_BYTES = 1 << 30
"""The most bytes of samples in memory while drawing; half of it for the drawn ones."""
MAX_LABELS = 1_000
"""With more distinct labels than this, the column is free text and not classes: an error."""


class UnusableRow(Record):
    """A skipped row: its position and the error. ``unlisted``: the row is fine, but its label is
    not among those that the study file lists."""

    where: str
    why: str
    unlisted: bool = False


Row: TypeAlias = Sample | UnusableRow


class _Tally:
    """Counts from a pass over the rows, apart from the samples."""

    def __init__(self) -> None:
        self.named: list[str] = []
        self.bad = 0
        self.unlisted = 0
        self.good_rows = 0
        self.labels: set[str] = set()

    def good(self, rows: Iterator[Row], name: str, labelled: bool) -> Iterator[Sample]:
        """The samples among ``rows``; bad rows are counted, and the first few named."""
        for row in rows:
            if isinstance(row, UnusableRow):
                self.bad += 1
                self.unlisted += row.unlisted
                if len(self.named) < MAX_NAMED:
                    self.named.append(f"{row.where}: {row.why}")
                continue
            if labelled and isinstance(row.reference, str):
                self.labels.add(row.reference)
                # Checked at once: with free text in a large file, the set would keep growing.
                if len(self.labels) > MAX_LABELS:
                    raise DatasetError(
                        f"dataset {name!r} has more than {MAX_LABELS} distinct labels; "
                        "is the label column the right one?"
                    )
            self.good_rows += 1
            yield row


def collect(
    name: str,
    rows: Iterator[Row],
    *,
    limit: int | None,
    seed: int,
    labelled: bool = True,
) -> Dataset:
    """At most ``limit`` samples of ``rows``, shuffled by ``seed``; memory use is proportional to
    it.

    The order is that of sha256(seed, id): the same on every Python, and a larger ``limit`` includes
    the samples of a smaller one. ``labelled``: whether string references are class names rather
    than free text.

    Raises:
        DatasetError: no row is usable, two have the same id, or the labels are not classes.
    """
    tally = _Tally()
    chosen = _first(tally.good(rows, name, labelled), limit, seed, name)
    if not chosen:
        why = f"; {tally.named[0]}" if tally.named else ""
        count = f"all {tally.bad} rows are unusable" if tally.bad else "it has no rows"
        raise DatasetError(f"dataset {name!r} cannot be used: {count}{why}")
    # Equal ids have equal keys, so they are neighbours in this order.
    for (a, _), (b, twin) in itertools.pairwise(chosen):
        if a == b:
            raise DatasetError(f"dataset {name!r} has two rows with the id {twin.id!r}")
    samples = tuple(_identified(sample) for _, sample in chosen)
    return Dataset(
        name=name,
        samples=samples,
        digest=digest(samples),
        skipped=tuple(tally.named),
        skipped_total=tally.bad,
        unwanted_total=tally.unlisted,
        usable_total=tally.good_rows,
        labels=tuple(sorted(tally.labels)),
    )


def _first(
    samples: Iterator[Sample], limit: int | None, seed: int, name: str
) -> list[tuple[bytes, Sample]]:
    """The first ``limit`` samples by key, with at most twice as many in memory.

    Raises:
        DatasetError: they need too much memory.
    """
    kept: list[tuple[bytes, Sample]] = []
    held = 0
    for sample in samples:
        kept.append((_key(seed, sample.id), sample))
        held += _bytes_of(sample.inputs) + _bytes_of(sample.reference)
        # Sorted only when it has doubled: a sort for each row would take the square of the time.
        full = limit is not None and len(kept) >= 2 * limit + 100
        if full or held > MAX_HELD_BYTES:
            kept.sort(key=_by_key)
            kept = kept[:limit]
            held = sum(_bytes_of(s.inputs) + _bytes_of(s.reference) for _, s in kept)
            if held > MAX_HELD_BYTES // 2:
                raise DatasetError(
                    f"dataset {name!r}: its samples take more than {MAX_HELD_BYTES >> 21} MiB; ask"
                    " for fewer inferences, or take shorter samples"
                )
    kept.sort(key=_by_key)
    return kept[:limit]


def _by_key(pair: tuple[bytes, Sample]) -> bytes:
    return pair[0]


def _bytes_of(value: Any) -> int:
    """The approximate memory use of a value."""
    if isinstance(value, dict):
        return 64 + sum(_bytes_of(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return 64 + sum(map(_bytes_of, value))
    return sys.getsizeof(value)


def digest(samples: tuple[Sample, ...]) -> str:
    """sha256 of the samples in order: ids, inputs and references. Images and recordings count by
    their content, not by their path."""
    sha = hashlib.sha256()
    for sample in samples:
        inputs = {
            name: value["sha256"] if media.is_reference(value) else value
            for name, value in sample.inputs.items()
        }
        counted = msgspec.structs.replace(sample, inputs=inputs)
        sha.update(msgspec.json.encode(counted, order="sorted"))
        sha.update(b"\n")
    return sha.hexdigest()


def _identified(sample: Sample) -> Sample:
    """The sample with the sha256 of the files that it names."""
    if not any(media.is_reference(value) for value in sample.inputs.values()):
        return sample
    inputs = {name: media.with_digest(value) for name, value in sample.inputs.items()}
    return msgspec.structs.replace(sample, inputs=inputs)


def _key(seed: int, sample_id: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{sample_id}".encode()).digest()
