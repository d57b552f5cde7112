"""The data of a server or a file, kept up to date: cells, document, rows, trials."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

from permille.collector import without_collector
from permille.explorer import answer_times, cells, document, runs
from permille.explorer.page import asset
from permille.explorer.rows import Rows
from permille.explorer.run_shapes import ListedTrial, PageRun
from permille.explorer.shapes import Document, PageAnswerTimes
from permille.store import Group, Store


class FiguresState:
    """The figures for one state of the store. ``tag`` changes with them."""

    def __init__(self, store: Path | None, *, awaited: bool) -> None:
        shown, damage = _read(store, awaited=awaited)
        self.cells = tuple(shown)
        self.damage = tuple(damage)
        found = document.served(
            shown, store=store.name if store else None, store_exists=not awaited, damage=damage
        )
        self.document = document.encode(found)
        # Of what is sent and not of the file: a page stays as it is when a write changed no figure.
        self.tag = hashlib.sha256(self.document.encode()).hexdigest()[:16]
        self._lock = threading.Lock()
        self._rows: Rows | None = None
        self._details: str | None = None

    @property
    def details(self) -> str:
        """What some views need beside the document, made when it is first asked for."""
        with self._lock:
            if self._details is None:
                with without_collector():
                    self._details = document.encode(document.details(self.cells))
            return self._details

    @property
    def rows(self) -> Rows:
        """The rows for downloads, which are loaded when they are first asked for."""
        with self._lock:
            if self._rows is None:
                self._rows = Rows(self.cells)
            return self._rows


class Figures:
    """The shipped figures and those of a store, if one is named, which are reread when it changes.
    A store that is not there yet is waited for; one that was there and is gone is an error."""

    def __init__(self, store: Path | None) -> None:
        self.store = store
        self._appeared = False
        self._lock = threading.Lock()
        self._stamp: object = None
        self._state: FiguresState | None = None

    def state(self) -> FiguresState:
        """The figures for the current state of the store.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._lock:
            # Before the store is read: what is written meanwhile changes it, and is read next time.
            stamp = _stamp(self.store)
            if self._state is None or stamp != self._stamp:
                # Two states at once take twice the memory; a request may still be reading the old
                # rows, whose last reference frees them.
                self._state = None
                self._appeared = self._appeared or (self.store is not None and self.store.exists())
                with without_collector():
                    self._state = FiguresState(self.store, awaited=not self._appeared)
                self._stamp = stamp
            return self._state

    def revision(self) -> str:
        """A text that changes with the store, without reading it."""
        return hashlib.sha256(repr(_stamp(self.store)).encode()).hexdigest()[:16]

    def trials(self, cell_id: str) -> list[ListedTrial] | None:
        """The newest trials of a cell of the store; None if it has no such cell."""
        group = self._group(cell_id)
        if group is None or self.store is None:
            return None
        with Store(self.store, readonly=True) as store:
            trials = store.of_group(group, newest=runs.LISTED)
        return [runs.listed(trial) for trial in trials]

    def answer_times(self, cell_id: str) -> PageAnswerTimes | None:
        """The times of the answers of a cell of the store; None if it has no such cell."""
        group = self._group(cell_id)
        if group is None or self.store is None:
            return None
        with Store(self.store, readonly=True) as store:
            return answer_times.answer_times(store, group)

    def _group(self, cell_id: str) -> Group | None:
        return next((c.group for c in self.state().cells if c.id == cell_id), None)

    def run(self, uid: str) -> PageRun | None:
        """One trial with its trace; None if there is none."""
        if self.store is None:
            return None
        with Store(self.store, readonly=True) as store:
            return runs.run(store, uid)


def everything(store: Path | None) -> tuple[list[cells.Shown], Document]:
    """All cells and the whole document of them, with ``damage``: a line for each thing in the
    store that could not be read.

    Raises:
        StoreError: the store cannot be read at all.
    """
    shown, damage = _read(store)
    found = document.document(
        shown,
        store=store.name if store else None,
        damage=damage,
        licences=json.loads(asset("licences.json")),
    )
    return shown, found


def _read(store: Path | None, *, awaited: bool = False) -> tuple[list[cells.Shown], list[str]]:
    """All cells, and a line for each thing in the store that could not be read. An ``awaited``
    store is not there yet."""
    damage: list[str] = []
    shown = cells.shipped()
    if store is not None and not awaited:
        shown += cells.of_store(store, damage)
    return shown, damage


def _stamp(store: Path | None) -> object:
    """A value that changes with the store: SQLite writes to the file or its log."""
    if store is None:
        return None
    stamps: list[tuple[int, int, int] | None] = []
    # Not -shm, to which readers write as well (https://www.sqlite.org/wal.html).
    for path in (store, store.with_name(store.name + "-wal")):
        try:
            about = path.stat()
        except FileNotFoundError:
            stamps.append(None)
            continue
        # The inode, because repair puts another file in the store's place.
        stamps.append((about.st_mtime_ns, about.st_size, about.st_ino))
    return tuple(stamps)
