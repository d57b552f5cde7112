"""Make untrusted text harmless on a terminal and in a spreadsheet."""

from __future__ import annotations

import unicodedata

_SIGNS = frozenset("=+-@")


def inert(text: str) -> str:
    """Prefix ``text`` with an apostrophe if a spreadsheet might interpret it as a formula (OWASP,
    CSV Injection). Some spreadsheets ignore spaces, control and invisible characters before a sign,
    and some treat full-width signs like plain ones."""
    if text.startswith(("\t", "\r", "\n")):
        return f"'{text}"
    for character in text:
        if unicodedata.category(character)[0] in "CZ":
            continue
        sign = unicodedata.normalize("NFKC", character)[:1]
        return f"'{text}" if sign in _SIGNS else text
    return text


_KEEP = {"\t"}


def _breaks(character: str) -> bool:
    """Whether a terminal might act on it or begin a new line at it."""
    category = unicodedata.category(character)
    return character not in _KEEP and (category[0] == "C" or category in ("Zl", "Zp"))


def plain(text: str, limit: int = 2000) -> str:
    """``text`` on one line, without control, format or bidirectional characters, of limited length.

    Names of models, datasets and devices are untrusted: a terminal escape sequence in one must not
    reach the terminal.
    """
    clean = text if text.isprintable() else "".join(" " if _breaks(c) else c for c in text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
