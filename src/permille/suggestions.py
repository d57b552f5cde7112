"""Suggestions for a mistyped name: known names that are similar."""

from __future__ import annotations

from collections.abc import Iterable


def similar(word: str, known: Iterable[str], most: int, *, cutoff: float = 0.6) -> list[str]:
    """Up to ``most`` of the known names, the most similar first; ``cutoff`` is the least share of
    matching characters."""
    import difflib  # only after a mistake: every worker imports this module

    return difflib.get_close_matches(word, list(known), n=most, cutoff=cutoff)


def nearest(
    word: str,
    known: Iterable[str],
    otherwise: str | None = None,
    *,
    most: int = 1,
    cutoff: float = 0.6,
) -> str:
    """``did you mean …?`` with up to ``most`` similar names. Without a similar name, ``otherwise``
    or, by default, the list of known names."""
    names = list(known)
    near = similar(word, names, most, cutoff=cutoff)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"available: {', '.join(names)}" if otherwise is None else otherwise
