"""Untrusted text in the cells of a Markdown table."""

from __future__ import annotations

from permille.escaping import plain


def cell(text: str, limit: int = 2000) -> str:
    """Text in a cell, which it must not end."""
    return plain(text, limit=limit).replace("|", "\\|")


def code(text: str, limit: int = 2000) -> str:
    """Text as code, where Markdown means nothing."""
    # A | ends its cell within code, too (https://github.github.com/gfm/#example-200); within code
    # no ` can be escaped.
    return f"`{cell(text.replace('`', chr(39)), limit)}`"
