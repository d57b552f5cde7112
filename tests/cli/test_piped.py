"""Plain lines of a table are those that rich prints."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from permille.cli.piped import plain_lines
from permille.cli.terminal import PIPE_WIDTH

CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["147 µWh [57 µWh, 245 µWh]", "日本語のモデル", "", "a  b", "café", "é", "👩‍💻", " x", "a\tb"]
)


def _table(rows: list[tuple[str, str, str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left")
    table.add_column("model", overflow="fold")
    table.add_column("energy / 1,000", justify="right")
    table.add_column("quality", justify="right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _by_rich(table: Table) -> str:
    out = io.StringIO()
    Console(file=out, width=PIPE_WIDTH, highlight=False).print(table)
    return out.getvalue()


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5))
def test_they_are_those_that_rich_prints(rows: list[tuple[str, str, str]]) -> None:
    table = _table(rows)
    lines = plain_lines(table, PIPE_WIDTH)
    if lines is not None:
        assert "\n".join(lines) + "\n" == _by_rich(table)


def test_a_common_table_has_them_and_another_is_left_to_rich() -> None:
    table = _table([("MiniLM-L6 int8", "20 mWh [8.04 mWh, 33.6 mWh]", "accuracy 78.7 %")])
    assert plain_lines(table, PIPE_WIDTH) is not None
    assert plain_lines(table, 40) is None
    assert plain_lines(_table([("two\nlines", "", "")]), PIPE_WIDTH) is None
    assert plain_lines(Table("no box", box=None), PIPE_WIDTH) is None
