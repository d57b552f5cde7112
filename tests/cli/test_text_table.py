"""The lines of a table of text are those that rich prints."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from permille.cli.terminal import PIPE_WIDTH, console
from permille.cli.text_table import TextColumn, TextTable

CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["147 µWh [57 µWh, 245 µWh]", "日本語のモデル", "", "a  b", "café", "é", "👩‍💻", " x", "a\tb"]
)


def _table(rows: list[tuple[str, str, str]]) -> TextTable:
    model, energy, quality = zip(*rows, strict=True) if rows else ((), (), ())
    return TextTable(
        [
            TextColumn("model", model),
            TextColumn("energy / 1,000", energy, right=True),
            TextColumn("quality", quality, right=True),
        ]
    )


def _by_rich(table: TextTable) -> str:
    out = io.StringIO()
    Console(file=out, width=PIPE_WIDTH, highlight=False).print(table.by_rich())
    return out.getvalue()


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5))
def test_they_are_those_that_rich_prints(rows: list[tuple[str, str, str]]) -> None:
    table = _table(rows)
    lines = table.lines(PIPE_WIDTH)
    if lines is not None:
        assert "\n".join(lines) + "\n" == _by_rich(table)


def test_a_common_table_has_them_and_another_is_left_to_rich() -> None:
    table = _table([("MiniLM-L6 int8", "20 mWh [8.04 mWh, 33.6 mWh]", "accuracy 78.7 %")])
    assert table.lines(PIPE_WIDTH) is not None
    assert table.lines(40) is None
    assert _table([("a\tb", "", "")]).lines(PIPE_WIDTH) is None


@pytest.mark.parametrize("text", ["[bold]x[/bold]", ":smile:", " x", "日本"])
def test_a_name_is_no_markup(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    console().print(_table([(text, "", "")]))
    assert text in capsys.readouterr().out
