"""Exporters: results as files that other programs read. One module a format, each a plug-in.

An exporter makes bytes of what was asked for; it writes and prints nothing. What it reads comes
from a store, whose names are hostile input: each format escapes them as its readers need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import NamedTuple, Protocol

from permille.analysis.results import Results
from permille.carbon.settings import CarbonSettings
from permille.records import Boundary, Trial

STANDARD_OUTPUT = "-"
"""Among what was given: the file is standard output."""


class Asked(Protocol):
    """What the user asked for. Only what an exporter takes is read."""

    @property
    def boundary(self) -> Boundary:
        """What counts."""
        ...

    @property
    def carbon(self) -> CarbonSettings:
        """The grid and the PUE."""
        ...

    @property
    def store(self) -> Path | None:
        """The store itself; None where none was named and there is none."""
        ...

    def results(self) -> Results:
        """What ``permille results --json`` prints: at least one row."""
        ...

    def trials(self) -> Iterator[Trial]:
        """The trials that count, finished or not."""
        ...


class Export(NamedTuple):
    """A file's content, and what people are told of it.

    ``rows``: how many it holds; None for a format that has none. ``notes``: lines about what it
    does not hold. ``damage``: a line for each thing in the store that could not be read.
    ``about``: what to say of the file once it is written, where it has no rows.
    """

    content: bytes
    rows: int | None = None
    notes: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()
    about: str = ""


class Exporter(Protocol):
    """What a plug-in registers: a module-level object of this shape."""

    def refusal(self, given: Set[str]) -> str | None:
        """Why the format cannot hold what was asked for; None where it can. ``given`` names the
        options that the user gave (``net``, ``market_intensity``), or ``STANDARD_OUTPUT``."""
        ...

    def export(self, asked: Asked) -> Export:
        """The file.

        Raises:
            PermilleError: the store cannot be read, or an extra is not installed.
        """
        ...


class OfResults:
    """An exporter whose file holds the rows of ``permille results --json``, all options applied."""

    def __init__(self, write: Callable[[Results], bytes]) -> None:
        self._write = write

    def refusal(self, given: Set[str]) -> str | None:
        """Nothing is refused."""
        return None

    def export(self, asked: Asked) -> Export:
        """As :meth:`Exporter.export`."""
        results = asked.results()
        return Export(self._write(results), len(results.rows))
