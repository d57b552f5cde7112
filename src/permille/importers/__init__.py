"""Importers: other tools' measurements as trials. Each format is a module and a plug-in.

Files are hostile input. A bad row or file is counted, named and skipped; it never stops an import.
A figure that is missing in the file is missing in the trial, never 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from permille.records import Record
from permille.records.trial import Trial

if TYPE_CHECKING:
    from permille.importers.reading.files import Source

NAMED = 20
"""The number of bad rows that a report names; the others are only counted."""


class BadRow(Record):
    """A skipped row (its line number) or, if ``row`` is None, a skipped file."""

    file: str
    row: int | None
    reason: str


class Tally:
    """Import statistics: files and rows read, skipped ones, and the current position (``at``)."""

    def __init__(self) -> None:
        self.files = 0
        self.rows = 0
        self.bad: list[BadRow] = []
        self.bad_count = 0
        # The store may refuse a trial that the importer let through; the report then names its row.
        self.at: tuple[str, int | None] = ("", None)

    def place(self, file: str, row: int | None) -> None:
        """The position of the next trial in the source."""
        self.at = (file, row)

    def leave_out(self, file: str, row: int | None, reason: str) -> None:
        """Count a bad row or file, and record the first few by name."""
        self.bad_count += 1
        # A file of a million bad rows must fill neither the memory nor the terminal.
        if len(self.bad) < NAMED:
            self.bad.append(BadRow(file=file, row=row, reason=reason))


class Options(Record):
    """Options for information that a file may lack.

    ``inferences``: the number of inferences of one run. ``query_task``: the name of the CodeCarbon
    task with the inferences. ``study``: the study under which the trials are stored.
    """

    study: str | None = None
    inferences: int | None = None
    query_task: str = "query model"


class Importer(Protocol):
    """The protocol of a plug-in: a module-level object with these methods."""

    name: str

    def trials(self, source: Source, tally: Tally, options: Options) -> Iterator[Trial]:
        """The trials of ``source``, yielded while it is read.

        Raises:
            ImportDataError: the source cannot be read to its end.
        """
        ...
