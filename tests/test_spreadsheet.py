"""No text that comes from outside is a formula in a spreadsheet."""

from __future__ import annotations

import pytest

from permille.escaping import inert

LINK = 'HYPERLINK("http://x")'


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", " =", "\t=", "\r\n=", "\u00a0=", "\u200b=", "\ufeff=", "\x00=",
              "\uff1d", "\uff0b", "\uff0d", "\uff20", " \uff1d"]
)  # fmt: skip
def test_what_may_be_taken_for_a_formula_is_behind_an_apostrophe(start: str) -> None:
    assert inert(start + LINK) == "'" + start + LINK


@pytest.mark.parametrize("text", ["", " ", "model", "a=b", "3.5", "(=x)", "日本"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert inert(text) == text
