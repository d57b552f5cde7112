"""What a name that is not known may have been meant to be."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """``did you mean …?``; where nothing is near, ``otherwise``, or the list of what there is."""
    import difflib  # only for a mistake: every worker imports this module

    names = list(known)
    near = difflib.get_close_matches(word, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are: {', '.join(names)}" if otherwise is None else otherwise
