"""A section of a page of the user's, between markers: it is replaced, and nothing else changes."""

from __future__ import annotations

from permille.errors import UsageError

BEGIN = b"<!-- permille: renewed by permille export model-card --into -->"
END = b"<!-- /permille -->"


def renewed(page: bytes, section: bytes) -> bytes:
    """``page`` with ``section`` between the markers; at its end, with the markers, if it has none.
    The section gets the page's line ends.

    Raises:
        UsageError: the page is not UTF-8, or its markers are not one pair.
    """
    try:
        # The section is UTF-8: within another encoding it would be garbage.
        page.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"it is not UTF-8 (byte {error.start})") from error
    # As bytes: Python's text files would change the line ends of the rest of the page, too.
    newline = b"\r\n" if b"\r\n" in page else b"\n"
    block = newline.join([BEGIN, *section.strip().splitlines(), END])
    counts = (page.count(BEGIN), page.count(END))
    if counts == (0, 0):
        gap = b"" if not page else newline if page.endswith(b"\n") else 2 * newline
        return page + gap + block + newline
    start, end = page.find(BEGIN), page.find(END)
    if counts != (1, 1) or end < start:
        raise UsageError(
            f"it must have {BEGIN.decode()!r} once and {END.decode()!r} once after it:"
            " correct or remove them"
        )
    return page[:start] + block + page[end + len(END) :]
