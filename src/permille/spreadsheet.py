"""Text that no spreadsheet takes for a formula."""

from __future__ import annotations

import unicodedata

_SIGNS = frozenset("=+-@")


def inert(text: str) -> str:
    """``text``, behind an apostrophe where a spreadsheet might take it for a formula (OWASP, CSV
    Injection): spaces, controls and invisible characters before a sign do not hold every
    spreadsheet off, and full-width signs count as the plain ones in some."""
    if text.startswith(("\t", "\r", "\n")):
        return f"'{text}"
    for character in text:
        if unicodedata.category(character)[0] in "CZ":
            continue
        sign = unicodedata.normalize("NFKC", character)[:1]
        return f"'{text}" if sign in _SIGNS else text
    return text
