"""Fit tables to narrow terminals without cutting numbers or ids."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

WIDE = 110
"""From this width on, tables are not changed."""
WORDS = 16
"""The least width of a column of words that is folded."""
BETWEEN = 3
"""The most columns of padding and border next to a cell."""


def fitted(table: Table, width: int) -> list[Table | Text]:
    """Fit ``table`` to a terminal of ``width``: a table, lines that the terminal may fold, or both.

    Below :data:`WIDE`, columns with the same value in every row become a line below the table. A
    table that is still too wide becomes a block of lines per row. Only words are folded.
    """
    columns = list(table.columns)
    for column in columns:
        column.overflow = "fold"
        # Aligned to the right are the numbers: half of a folded one would read as another number.
        column.no_wrap = column.justify == "right"
    if _least(columns) <= width and width >= WIDE:
        return [table]
    # Not the first column, which names the row.
    constant = [column for column in columns[1:] if _constant(column)] if width < WIDE else []
    kept = [column for column in columns if column not in constant]
    footer = [_labelled(_plain(column.header), _cells(column)[0]) for column in constant]
    below = [Text(f"in every row: {'; '.join(footer)}")] if footer else []
    if _least(kept) > width:
        return [*_blocks(kept, table.title), *below]
    return [_of(table, kept), *below]


def _plain(cell: RenderableType) -> str:
    return cell.plain if isinstance(cell, Text) else Text.from_markup(str(cell)).plain


def _cells(column: Column) -> list[str]:
    return [_plain(cell) for cell in column.cells]


def _constant(column: Column) -> bool:
    cells = _cells(column)
    # Of a single row, every column would be constant, and the table empty.
    return len(cells) > 1 and len(set(cells)) == 1


def _least(columns: Sequence[Column]) -> int:
    """The smallest width at which no number is cut."""
    total = 0
    for column in columns:
        # Not len(): a Chinese character takes two columns of a terminal.
        widest = max(map(cell_len, [_plain(column.header), *_cells(column)]))
        total += BETWEEN + (widest if column.no_wrap else min(widest, WORDS))
    return total


def _labelled(header: str, cell: str) -> str:
    return f"{header} {cell}" if header else cell


def _blocks(columns: Sequence[Column], title: RenderableType | None) -> list[Text]:
    """A block of lines for each row: its first cell, then the others with their headers."""
    lines = [Text(_plain(title))] if title else []
    _, *headers = (_plain(column.header) for column in columns)
    for name, *cells in zip(*map(_cells, columns), strict=True):
        lines.append(Text(name, style="bold"))
        # A line with a header and nothing after it would look cut off.
        filled = [(header, cell) for header, cell in zip(headers, cells, strict=True) if cell]
        lines += [Text(f"  {_labelled(*one)}") for one in filled]
    return lines


def _of(table: Table, columns: Sequence[Column]) -> Table:
    """A table like ``table`` with these columns of it."""
    narrowed = Table(
        title=table.title,
        title_justify=table.title_justify,
        box=table.box,
        padding=table.padding,
        pad_edge=table.pad_edge,
        header_style=table.header_style,
    )
    for column in columns:
        narrowed.add_column(
            column.header, justify=column.justify, no_wrap=column.no_wrap, overflow="fold"
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        narrowed.add_row(*row)
    return narrowed
