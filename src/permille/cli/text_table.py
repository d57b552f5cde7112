"""A table of plain text: for a pipe as lines, for a terminal by rich.

rich takes 10 s of processor time to lay out 15,000 rows, in a pipe too, where nothing is styled,
folded or cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

BETWEEN = "   "


class TextColumn(NamedTuple):
    """A column: its header, the text of each row, and whether they are aligned to the right."""

    header: str
    cells: Sequence[str]
    right: bool = False


class TextTable(NamedTuple):
    """Columns of text without markup."""

    columns: Sequence[TextColumn]

    def lines(self, width: int) -> list[str] | None:
        """The lines that rich prints where there is room for all of the table; None if there is
        not, or if rich would change a text."""
        from rich.cells import cell_len

        aligned = []
        for header, cells, right in self.columns:
            texts = [header, *cells]
            # rich drops the spaces at the end of a cell, and control characters (rich.text).
            if not all(text.isprintable() and text == text.strip() for text in texts):
                return None
            aligned.append(_aligned(texts, right=right))
        head, *rows = map(BETWEEN.join, zip(*aligned, strict=True))
        wide = cell_len(head)
        if wide + 2 > width:
            return None
        # rich's SIMPLE_HEAD has an empty line above and below, and a space at either edge.
        empty = " " * (wide + 2)
        return [empty, f" {head} ", f" {'─' * wide} ", *(f" {row} " for row in rows), empty]

    def by_rich(self) -> Table:
        """The same for rich."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in self.columns:
            table.add_column(column.header, justify="right" if column.right else "left")
        for row in zip(*(column.cells for column in self.columns), strict=True):
            table.add_row(*map(Text, row))
        return table


def _aligned(texts: Sequence[str], *, right: bool) -> Iterator[str]:
    from rich.cells import cell_len

    # cell_len looks at each character, and nearly all texts are ASCII.
    widths = [len(text) if text.isascii() else cell_len(text) for text in texts]
    widest = max(widths)
    for text, width in zip(texts, widths, strict=True):
        room = " " * (widest - width)
        yield room + text if right else text + room
