"""A watch in a store: its steps are written as they are made, and read back as its lines.

What is kept are joules of domains and counts. Boundary, carbon and PUE are applied on reading, so
that a report may choose others than the watch did.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from itertools import groupby

import msgspec

from permille.carbon.settings import CarbonSettings
from permille.errors import StoreError
from permille.records import Record
from permille.records.energy import Boundary
from permille.store import Store, StoredWindow
from permille.version import __version__
from permille.watch.ledger import WatchLedger, WatchLine, WatchStep

# At the default of one step in ten seconds, somewhat more than a day.
MOST_WAITING = 10_000
"""Steps that wait until the store can be written again; later ones are lost."""
_HEAD = 0
"""The number of the row that says what was watched; steps follow from 1."""


class WatchHead(Record):
    """What was watched. ``server``: its kind, or the mapping; None if it had not answered yet."""

    started: str
    metrics: str
    server: str | None
    version: str = __version__


class KeptWatch(Record):
    """A watch of a store. ``head`` is None if it is damaged. ``missing``: how many windows before
    the last one are not in the store."""

    id: str
    head: WatchHead | None
    lines: tuple[WatchLine, ...]
    missing: int


class WatchKeeper:
    """Writes the steps of one watch to a store that stays open."""

    def __init__(self, store: Store, head: WatchHead) -> None:
        stamp = head.started[:19].replace("-", "").replace(":", "")
        # Not the time alone: two machines, whose stores are merged, may begin in the same second.
        self.id = f"{stamp}-{secrets.token_hex(4)}"
        self._store = store
        self._waiting = [StoredWindow(self.id, _HEAD, msgspec.json.encode(head))]
        self._next = _HEAD + 1
        self._failing = False

    def add(self, step: WatchStep) -> str | None:
        """Keep a step, with those that could not be written before. Returns what to tell people:
        that writing began to fail, or succeeds again."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(StoredWindow(self.id, self._next, msgspec.json.encode(step)))
        # Also for a step that was dropped: the gap tells a reader that it is missing.
        self._next += 1
        try:
            self._store.put_windows(self._waiting)
        except StoreError as error:
            began, self._failing = not self._failing, True
            return f"the watch goes on, but is not kept: {error}" if began else None
        self._waiting.clear()
        ended, self._failing = self._failing, False
        return "the watch is kept again, with what was waiting" if ended else None


def kept_watches(
    store: Store, boundary: Boundary, carbon: CarbonSettings, say: Callable[[str], None]
) -> Iterator[KeptWatch]:
    """The watches of a store, in order of their start. ``say`` reports a row that cannot be read.

    Raises:
        StoreError: the store is damaged, and was not opened to read around it.
    """
    for id, rows in groupby(store.windows(), key=lambda row: row.watch):
        head: WatchHead | None = None
        steps: list[tuple[int, WatchStep]] = []
        for row in rows:
            try:
                if row.number == _HEAD:
                    head = msgspec.json.decode(row.body, type=WatchHead)
                else:
                    steps.append((row.number, msgspec.json.decode(row.body, type=WatchStep)))
            # RecursionError: msgspec's, of a body that is nested too deeply.
            except (msgspec.DecodeError, RecursionError) as error:
                say(f"window {row.number} of watch {id} cannot be read: {error}")
        lines, missing = _replayed(id, steps, WatchLedger(boundary, carbon))
        yield KeptWatch(id=id, head=head, lines=lines, missing=missing)


def _replayed(
    id: str, steps: list[tuple[int, WatchStep]], ledger: WatchLedger
) -> tuple[tuple[WatchLine, ...], int]:
    """The lines of the steps, and how many steps are missing between them."""
    lines, missing, before = [], 0, _HEAD
    for number, step in steps:
        gap = number - before - 1
        if gap:
            missing += gap
            # The counts since the last reading are those of the gap too, but its energy is lost.
            note = f"{gap} windows before this one are missing from the store"
            step = msgspec.structs.replace(step, served=None, lost=True, notes=(note, *step.notes))
        before = number
        line = ledger.add(step)
        lines.append(msgspec.structs.replace(line, watch=id))
    return tuple(lines), missing
