"""Untrusted text in a Markdown table."""

from __future__ import annotations

from permille.cli.markdown import cell, code


def test_neither_a_pipe_nor_a_line_ends_the_cell() -> None:
    assert cell("a | b\nc") == "a \\| b c"
    assert code("a | b\nc") == "`a \\| b c`"


def test_code_holds_no_backquote_that_would_end_it() -> None:
    assert code("a`<b>`") == "`a'<b>'`"
    assert code("x" * 20, limit=5) == "`xxxx…`"
