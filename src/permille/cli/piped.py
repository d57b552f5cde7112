"""A table as plain lines, as rich lays it out where there is room for all of it.

rich takes 10 s of processor time to lay out 15,000 rows, in a pipe too, where nothing is styled,
folded or cut.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

BETWEEN = "   "


def plain_lines(table: Table, width: int) -> list[str] | None:
    """The lines of a table of plain text that fits into ``width``; None for any other table."""
    if table.box is not box.SIMPLE_HEAD or table.pad_edge or table.title or table.caption:
        return None
    columns: list[list[str]] = []
    for column in table.columns:
        cells = [column.header, *column.cells]
        texts = [text for cell in cells if (text := _text(cell)) is not None]
        if len(texts) < len(cells) or column.justify not in ("left", "right"):
            return None
        columns.append(list(_aligned(texts, right=column.justify == "right")))
    if not columns:
        return None
    head, *rows = (BETWEEN.join(cells) for cells in zip(*columns, strict=True))
    wide = cell_len(head)
    if wide + 2 > width:
        return None
    empty = " " * (wide + 2)
    return [empty, f" {head} ", f" {'─' * wide} ", *(f" {row} " for row in rows), empty]


def _text(cell: object) -> str | None:
    """What is in a cell, if it is one line that rich would leave as it is."""
    if isinstance(cell, str):
        text = cell if "[" not in cell and ":" not in cell else None  # no markup, no emoji code
    else:
        text = cell.plain if isinstance(cell, Text) else None
    return text if text is not None and text.isprintable() and text == text.strip() else None


def _aligned(texts: list[str], *, right: bool) -> Iterator[str]:
    lengths = [cell_len(text) for text in texts]
    widest = max(lengths)
    for text, length in zip(texts, lengths, strict=True):
        room = " " * (widest - length)
        yield room + text if right else text + room
