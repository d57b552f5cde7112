"""JSON documents of a member: bounded, each fault named by its file."""

from __future__ import annotations

from typing import Any

import msgspec

from permille.importers import Tally
from permille.importers.files import Member

MAX_BYTES = 64 << 20
_CHUNK = 1 << 20


def document(member: Member, tally: Tally) -> Any:
    """The member's JSON; None (and the file named) where it is none or too large."""
    tally.files += 1
    parts, size = [], 0
    while chunk := member.stream.read(_CHUNK):
        size += len(chunk)
        if size > MAX_BYTES:
            tally.leave_out(member.name, None, f"larger than {MAX_BYTES >> 20} MiB")
            return None
        parts.append(chunk)
    try:
        return msgspec.json.decode(b"".join(parts))
    except (msgspec.DecodeError, RecursionError) as error:
        tally.leave_out(member.name, None, f"not JSON: {error}")
        return None
