"""Aggregate the trials of groups for the roll-up: here, or many of them in several processes.

A million trials take most of a minute of processor time. From :data:`SEVERAL_FROM` trials on, one
process for each core reads the same file and folds a part of the groups. A group that a process did
not get to, for whatever reason, is left for the next writer: its readers use the trials.
"""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

import msgspec

from permille import plugins
from permille.errors import StoreError
from permille.records import Record
from permille.store.reading import StoreReader
from permille.store.rollup import Fold
from permille.store.rows import Group

SEVERAL_FROM = 200_000
"""The number of trials that are worth starting processes for."""
AT_ONCE = 1_000_000
"""The number of trials after which aggregates are kept: what is lost if the writer is stopped."""
KEPT_AT_ONCE = 500
"""The groups that are kept in one transaction; it is short, because others wait for it."""
MOST_PROCESSES = 8
_HEAD = struct.Struct("!II")


class _Part(Record):
    """What one process folds: groups of the file at ``path``, with the fold at ``module:name``."""

    path: str
    fold: str
    groups: tuple[Group, ...]


def folding(fold: Fold[Any] | None) -> tuple[Fold[Any], str | None]:
    """The fold to use, by default the one for permille's figures, and its place for other
    processes, if it has one."""
    if fold is not None:
        return fold, None
    target = plugins.target("folds", "cells", StoreError)
    return plugins.load_target(target), target


def folded(
    reader: StoreReader, groups: Sequence[Group], fold: Fold[Any], target: str | None
) -> Iterator[list[tuple[Group, bytes]]]:
    """The packed aggregates of these groups, some at a time; not of those whose trials are damaged,
    which their readers report. ``target`` is the place of the fold for other processes, if it has
    one."""
    processes = min(_cores(), MOST_PROCESSES)
    if target is None or processes < 2 or sum(g.trials for g in groups) < SEVERAL_FROM:
        yield from batches(_folded_here(reader, groups, fold))
        return
    for some in _at_once(groups):
        parts = [
            # Dealt in turn: cells of one study, which come one after another, are much alike.
            _Part(path=str(reader.path), fold=target, groups=tuple(some[first::processes]))
            for first in range(min(processes, len(some)))
        ]
        yield from batches(_folded_by_processes(parts))


def _folded_here(
    reader: StoreReader, groups: Sequence[Group], fold: Fold[Any]
) -> Iterator[tuple[Group, bytes]]:
    for group in groups:
        with contextlib.suppress(StoreError):  # damaged: its reader reports it
            yield group, fold.pack(fold.of(reader.of_group(group)))


def _folded_by_processes(parts: Sequence[_Part]) -> Iterator[tuple[Group, bytes]]:
    with contextlib.ExitStack() as undo:
        # Files: one process is read after the other, and a full pipe would stop the rest.
        files = [undo.enter_context(tempfile.TemporaryFile()) for _ in parts]
        started = [
            undo.enter_context(_process(part, file))
            for part, file in zip(parts, files, strict=True)
        ]
        for process in started:
            process.wait()
        for part, file in zip(parts, files, strict=True):
            file.seek(0)
            yield from _answers(part, file)


@contextlib.contextmanager
def _process(part: _Part, answers: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that folds, and has ended afterwards."""
    # -P: of a module in the current folder that is called like one of ours, nothing is imported.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "permille.store.rolling"],
        stdin=subprocess.PIPE,
        stdout=answers,
        stderr=subprocess.DEVNULL,  # what is damaged is reported by its readers
    )
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(msgspec.msgpack.encode(part))
        yield process
    finally:
        process.kill()
        process.wait()


def _answers(part: _Part, file: IO[bytes]) -> Iterator[tuple[Group, bytes]]:
    """What a process wrote, until it ended."""
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        number, size = _HEAD.unpack(head)
        body = file.read(size)
        if len(body) < size:
            return
        yield part.groups[number], body


def _at_once(groups: Sequence[Group]) -> Iterator[list[Group]]:
    """The groups in lists of about :data:`AT_ONCE` trials."""
    some: list[Group] = []
    trials = 0
    for group in groups:
        some.append(group)
        trials += group.trials
        if trials >= AT_ONCE:
            yield some
            some, trials = [], 0
    if some:
        yield some


def batches(items: Iterator[tuple[Group, bytes]]) -> Iterator[list[tuple[Group, bytes]]]:
    """What is kept in one transaction at a time."""
    while batch := list(islice(items, KEPT_AT_ONCE)):
        yield batch


def _cores() -> int:
    """The cores that this process may use, which a container or a batch job may limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# --- in the other process --------------------------------------------------------------------


def _main() -> None:
    part = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=_Part)
    fold: Fold[Any] = plugins.load_target(part.fold)
    number_of = {group: number for number, group in enumerate(part.groups)}
    with StoreReader(Path(part.path), readonly=True, damage=None) as reader:
        for group, body in _folded_here(reader, part.groups, fold):
            sys.stdout.buffer.write(_HEAD.pack(number_of[group], len(body)) + body)


if __name__ == "__main__":
    _main()
