"""Find the mask's token among a text's tokens. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def mask_place(
    tokens: Iterable[int], offsets: Iterable[tuple[int, int]], mask: int, character: int
) -> int | None:
    """The position of the mask's token that covers this character of the text; None if it was cut
    off.

    Not the first mask's: a text about language models may contain the mask token itself.
    """
    for place, (token, (start, end)) in enumerate(zip(tokens, offsets, strict=True)):
        if token == mask and start <= character < end:
            return place
    return None
