"""Where the steps of a watch go, besides the lines that it prints: ``/metrics``, an OpenTelemetry
collector, a store."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from permille.analysis.boundaries import Bounded, within
from permille.errors import UsageError
from permille.records.energy import Boundary
from permille.store import Store
from permille.watch.exporter import MetricsServer, WatchCounters
from permille.watch.kept import WatchHead, WatchKeeper
from permille.watch.ledger import WatchStep
from permille.watch.otlp import OtlpExport, endpoint


class WatchOutlets:
    """Each is None or what the user named: ``served_at`` host and port, ``otlp`` a collector's
    address, ``store`` a file. An export takes at most ``wait_s`` seconds.

    Raises:
        UsageError: one of them is not valid.
    """

    def __init__(
        self,
        boundary: Boundary,
        *,
        served_at: tuple[str, int] | None,
        otlp: str | None,
        store: Path | None,
        wait_s: float,
    ) -> None:
        self._boundary, self._wait_s = boundary, wait_s
        self._counters = WatchCounters(boundary)
        self._served_at = served_at
        self._sent_to = None if otlp is None else endpoint(otlp)
        self._path = None if store is None else store_file(store)
        self._store: Store | None = None
        self._otlp: OtlpExport | None = None
        self._keeper: WatchKeeper | None = None

    @property
    def watch(self) -> str | None:
        """The id of the watch in the store; None if it is not kept."""
        return None if self._keeper is None else self._keeper.id

    def open(self, stack: contextlib.ExitStack) -> None:
        """Open them all, until the stack is closed.

        Raises:
            UsageError: an extra is not installed, or an address is not free.
            StoreError: the store cannot be written.
        """
        if self._served_at is not None:
            stack.enter_context(MetricsServer(self._counters, *self._served_at))
        if self._sent_to is not None:
            self._otlp = OtlpExport(self._sent_to, self._wait_s)
            stack.callback(self._otlp.close)
        if self._path is not None:
            self._store = stack.enter_context(Store(self._path))

    def begin(self, head: WatchHead) -> None:
        """Begin a watch in the store, if there is one."""
        if self._store is not None:
            self._keeper = WatchKeeper(self._store, head)

    def add(self, step: WatchStep) -> Iterator[str]:
        """Count, keep and send a step. Gives what people should know about that."""
        # None of them where one has no figure: what is served adds up to the boundary's energy, and
        # a part of it would look like a cheaper server.
        bounded = within(step.phase, self._boundary)
        domains = bounded.domains if isinstance(bounded, Bounded) else ()
        self._counters.add(step, frozenset(domains))
        # The store first: a collector that does not answer takes seconds, in which the step could
        # be lost.
        for outlet in (self._keeper, self._otlp):
            remark = None if outlet is None else outlet.add(step)
            if remark is not None:
                yield remark


_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How an address begins (RFC 3986); a single letter is a drive of Windows."""


def store_file(path: Path) -> Path:
    """The path of a watch's store.

    Raises:
        UsageError: it is an address of object storage.
    """
    # A Path has one slash where an address has two; a later part may end in a colon.
    if _ADDRESS.match(path.as_posix()):
        raise UsageError(f"permille watch keeps its windows in a file; --store {path} is none")
    return path
