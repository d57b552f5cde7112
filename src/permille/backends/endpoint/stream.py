"""Parse server-sent events from the pieces of a body. Pure.

The rules are those of https://html.spec.whatwg.org/multipage/server-sent-events.html, with three
exceptions that servers need: a body may end without the last event's blank line, an ``error`` field
has an error, and a line that starts with a brace is an object without a field name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_ENDS = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


class ServerEvent(NamedTuple):
    """One event: its type (``message`` by default) and its data, with lines joined."""

    type: str
    data: str


def events(pieces: Iterable[bytes]) -> Iterator[ServerEvent]:
    """The events of a body, each as soon as it is complete."""
    kind, data = "", list[str]()
    for line in _lines(pieces):
        if not line:
            if data:
                yield ServerEvent(kind or "message", "\n".join(data))
            kind, data = "", []
        elif line.startswith(b"{"):
            yield ServerEvent(kind or "message", _text(line))
        else:
            name, _, value = line.partition(b":")  # a comment has an empty field name
            text = _text(value.removeprefix(b" "))
            if name == b"event":
                kind = text.strip()
            elif name == b"data":
                data.append(text)
            elif name == b"error":
                yield ServerEvent("error", text)
    if data:
        yield ServerEvent(kind or "message", "\n".join(data))


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Lines that end in CR LF, LF or CR, without these; the first without a BOM."""
    held = bytearray()
    first, after_cr = True, False

    def complete(line: bytes) -> bytes:
        nonlocal first
        held.extend(line)
        whole = bytes(held)
        held.clear()
        if first:
            whole = whole.removeprefix(_BOM)
        first = False
        return whole

    for piece in pieces:
        # The LF of a CR LF may arrive with the next piece: it must not end another line.
        content = piece.removeprefix(b"\n") if after_cr else piece
        after_cr = piece.endswith(b"\r")
        *whole, rest = _ENDS.split(content)
        for line in whole:
            yield complete(line)
        held += rest
    if held:
        yield complete(b"")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
