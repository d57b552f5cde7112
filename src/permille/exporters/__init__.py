"""Exporters: results as files for other programs. Each format is a module and a plug-in.

An exporter returns bytes; it writes and prints nothing. Names in a store are hostile input: each
format escapes them as its readers require.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from permille.analysis.results import Results
from permille.carbon.settings import CarbonSettings
from permille.records.energy import Boundary
from permille.records.trial import Trial

IMPACTS = frozenset({"water", "wue", "embodied", "lifespan_years", "market_intensity"})
"""The options for water, embodied carbon and market-based carbon."""

HARDWARE = frozenset({"embodied_kg", "share_in_use", "lifespan_years"})
"""The options for the SCI score."""

# An option that a format takes without effect would pass for one that was applied: every format
# refuses those that it does not declare.
OWN_OPTIONS = frozenset({"link", "into", "benchmark"}) | IMPACTS | HARDWARE
"""The options that only exporters that declare them accept."""


class ExportRequest(Protocol):
    """The data that the user requested. It is read lazily, when an exporter accesses it."""

    @property
    def boundary(self) -> Boundary:
        """Which devices count."""
        ...

    @property
    def carbon(self) -> CarbonSettings:
        """The grid and the PUE."""
        ...

    @property
    def link(self) -> str | None:
        """The address given with ``--link``, for exporters that declare it."""
        ...

    @property
    def benchmark(self) -> str | None:
        """The name given with ``--benchmark``, for exporters that declare it."""
        ...

    @property
    def store(self) -> Path | None:
        """The store's path; None if none was named and the default does not exist."""
        ...

    def results(self, *, fronts: bool = True) -> Results:
        """What ``permille results --json`` prints: at least one row. Without ``fronts``, which take
        a large part of the time, it is not known of any row whether it is on the Pareto front."""
        ...

    def trials(self) -> Iterator[Trial]:
        """The trials that count, finished or not."""
        ...


class Export(NamedTuple):
    """A file's content, and messages about it.

    ``rows``: the number of rows; None for a format without rows. ``notes``: what is left out.
    ``damage``: one line per item of the store that could not be read. ``about``: a remark to print
    once the file is written, for a format without rows.
    """

    # Bytes, and all of them: Parquet is no text, and the command writes a file whole or not at all.
    content: bytes
    rows: int | None = None
    notes: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()
    about: str = ""


class Exporter(Protocol):
    """The protocol of a plug-in: a module-level object with these methods."""

    # Asked before the store is opened: what a format cannot say is refused without reading it.
    def refusal(self, given: Set[str]) -> str | None:
        """Why the format cannot represent the request, or None. ``given`` has the names of the
        options that the user gave (``net``, ``pue``), and maybe
        ``permille.output.STANDARD_OUTPUT``."""
        ...

    def export(self, request: ExportRequest) -> Export:
        """Make the file's content.

        Raises:
            PermilleError: the store cannot be read, or an extra is not installed.
        """
        ...


# Apart from Exporter, so that a plug-in without options has nothing to declare.
@runtime_checkable
class WithOptions(Protocol):
    """An optional capability of an exporter: options that other formats refuse."""

    @property
    def own_options(self) -> Set[str]:
        """Their names, of ``OWN_OPTIONS``."""
        ...


class OfResults:
    """An exporter of the rows of ``permille results --json``. All options apply. ``fronts``:
    whether the format says which rows are on the Pareto front."""

    def __init__(
        self,
        write: Callable[[Results], bytes],
        own_options: Set[str] = frozenset(),
        *,
        fronts: bool = True,
    ) -> None:
        self._write = write
        self._fronts = fronts
        self.own_options = own_options

    def refusal(self, given: Set[str]) -> str | None:
        """Every option is supported."""
        return None

    def export(self, request: ExportRequest) -> Export:
        """As :meth:`Exporter.export`."""
        results = request.results(fronts=self._fronts)
        return Export(self._write(results), len(results.rows))
