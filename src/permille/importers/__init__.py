"""Importers: other tools' measurements as trials. One module a format, each a plug-in.

Files are hostile input. A bad row or file is counted, named and left out; it never stops an
import, and a figure that is missing in the file is missing in the trial, never 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from permille.records import Record, Trial

if TYPE_CHECKING:
    from permille.importers.reading.files import Source

NAMED = 20
"""How many bad rows a report names; the rest are counted."""


class BadRow(Record):
    """What was left out: a row (its line number) or, where ``row`` is None, a whole file."""

    file: str
    row: int | None
    reason: str


class Tally:
    """What an import met: files and rows read, what was left out, and where it is (``at``)."""

    def __init__(self) -> None:
        self.files = 0
        self.rows = 0
        self.bad: list[BadRow] = []
        self.bad_count = 0
        self.at: tuple[str, int | None] = ("", None)

    def place(self, file: str, row: int | None) -> None:
        """Where the trial stands that comes next."""
        self.at = (file, row)

    def leave_out(self, file: str, row: int | None, reason: str) -> None:
        """Count a bad row or file; the first few are kept by name."""
        self.bad_count += 1
        if len(self.bad) < NAMED:
            self.bad.append(BadRow(file=file, row=row, reason=reason))


class Options(Record):
    """What the user says that a file may not.

    ``inferences``: how many one run answered. ``query_task``: the name of the CodeCarbon task
    that holds the inferences. ``study``: under which name the trials are kept.
    """

    study: str | None = None
    inferences: int | None = None
    query_task: str = "query model"


class Importer(Protocol):
    """What a plug-in registers: a module-level object of this shape."""

    name: str

    def trials(self, source: Source, tally: Tally, options: Options) -> Iterator[Trial]:
        """The trials of ``source``, as they are read.

        Raises:
            ImportDataError: the source itself cannot be read (on).
        """
        ...
