"""Find the region of the grid table that a user typed: an exact match or an error."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache

from permille.carbon.table import GridPlace, GridTable, grid_table
from permille.errors import CarbonError
from permille.suggestions import similar

LONGEST = 100
"""The longest accepted name (characters); longer text is refused without being searched."""

_APOSTROPHES = "'`\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"


def fold(text: str) -> str:
    """``text`` without case, accents, punctuation and a leading "the", for comparing names."""
    decomposed = unicodedata.normalize("NFKD", text.replace("&", " and "))
    letters = "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()
    # Apostrophes are dropped, so that "Cote dIvoire" is found too; other marks separate words.
    words = "".join(c if c.isalnum() else " " for c in letters if c not in _APOSTROPHES).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] == "the" else words)


@cache
def _index() -> dict[str, frozenset[str]]:
    """Folded codes and names, each with the codes of the places it may refer to.

    A bare zone name (``East``) is too vague: a zone is matched by its code, by an alias, or by its
    name with its country's.
    """
    table = grid_table()
    index: dict[str, set[str]] = {}
    for place in table.places.values():
        keys = [place.code, place.alpha2 or "", *place.aliases, table.full_name(place)]
        if place.kind != "zone":
            keys.append(place.name)
        for key in filter(None, map(fold, keys)):
            index.setdefault(key, set()).add(place.code)
    return {key: frozenset(codes) for key, codes in index.items()}


def find(text: str) -> GridPlace:
    """The place that ``text`` names: a code or a name, in any case, with or without accents.

    Raises:
        CarbonError: there is none, or more than one; the message suggests some.
    """
    table = grid_table()
    if len(text) > LONGEST:
        raise CarbonError(
            f"a region's name has at most {LONGEST} characters; see: permille regions"
        )
    if not text.isprintable():
        raise CarbonError(f"no region is named {text!r}: it contains control characters")
    folded = fold(text)
    codes = _index().get(folded, frozenset())
    # Never a guess among several: the grids of the two Georgias have 143 and 325 g/kWh.
    if len(codes) == 1:
        return table.places[next(iter(codes))]
    if codes:
        places = _listed(table, sorted(codes), " or ")
        raise CarbonError(f"{text!r} could be {places}: use the code")
    near = suggest(folded)
    hint = f"did you mean {_listed(table, near, ', ')}?" if near else "see: permille regions"
    raise CarbonError(f"no grid intensity for the region {text!r}; {hint}")


def suggest(folded: str, most: int = 5) -> list[str]:
    """Codes of up to ``most`` places whose folded code or name is near ``folded``."""
    if not folded:
        return []
    index = _index()
    holding = sorted((k for k in index if _holds(k, folded)), key=lambda k: (len(k), k))
    keys = holding[:most] + similar(folded, index, most, cutoff=0.7)
    codes = [code for key in keys for code in sorted(index[key])]
    return list(dict.fromkeys(codes))[:most]


def _holds(key: str, folded: str) -> bool:
    """Whether a name contains ``folded`` as whole words, or starts with it."""
    return (len(folded) >= 2 and f" {folded} " in f" {key} ") or (
        len(folded) >= 4 and key.startswith(folded)
    )


def _listed(table: GridTable, codes: Sequence[str], joint: str) -> str:
    return joint.join(f"{code} ({table.full_name(table.places[code])})" for code in codes)
