"""Terminal output: tables, JSON, and names without control characters."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from permille.escaping import plain
from permille.output import ready_json_pieces

if TYPE_CHECKING:
    from rich.console import Console

    from permille.records import Record

PIPE_WIDTH = 100_000
"""Wider than any line: what is piped is neither cut nor folded."""


def console(*, stderr: bool = False) -> Console:
    """A rich console. Tables are fitted to a terminal, and never shortened in a pipe."""
    from rich.console import Console
    from rich.table import Table

    from permille.cli.fitting import fitted
    from permille.cli.text_table import TextTable

    # In a function, since rich is imported only by commands that print with it.
    class Ours(Console):
        def print(self, *objects: Any, **how: Any) -> None:
            """Fit tables to the terminal."""
            table = objects[0] if len(objects) == 1 and not how else None
            if isinstance(table, TextTable):
                lines = None if self.is_terminal else table.lines(self.width)
                if lines is not None:
                    self.file.write("\n".join([*lines, ""]))
                    self.file.flush()
                    return
                table = table.by_rich()
                objects = (table,)
            if not self.is_terminal or not isinstance(table, Table):
                super().print(*objects, **how)
                return
            for part in fitted(table, self.width):
                # rich cuts a line that is too long; a terminal folds it.
                super().print(part, soft_wrap=not isinstance(part, Table))

    # rich would colour what looks like a number or a path, within names, too.
    plain_console = Ours(stderr=stderr, highlight=False)
    if plain_console.is_terminal:
        return plain_console
    return Ours(stderr=stderr, highlight=False, width=PIPE_WIDTH)


def say_last(notice: str | None) -> None:
    """Print an important notice on standard error, after all other output."""
    # Standard output is buffered where it is no terminal: in a log of both streams, the notice
    # would stand before what it is about.
    if notice:
        sys.stdout.flush()
        print(plain(notice), file=sys.stderr)


def print_json(output: Record) -> None:
    """``output`` on stdout as one JSON document."""
    sys.stdout.writelines(ready_json_pieces(output, ascii_only=not _speaks_utf8()))
    sys.stdout.write("\n")


def print_json_line(line: bytes) -> None:
    """Print one line of JSON on stdout and flush."""
    # A reader parses these lines: JSON's own escapes, and not those of the stream (\xe9 is no
    # JSON).
    text = line.decode() if _speaks_utf8() else json.dumps(json.loads(line))
    print(text, flush=True)


def _speaks_utf8() -> bool:
    """Whether stdout can encode any character; if not, JSON is written with escapes."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
