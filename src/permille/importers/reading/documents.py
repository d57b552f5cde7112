"""JSON documents of a member: limited in size; each error names its file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from permille.importers import Tally
from permille.importers.reading.files import Member, Source
from permille.importers.reading.foreign import not_the_data
from permille.records.trial import Trial

MAX_BYTES = 64 << 20
MAX_NESTED = 100
"""The most levels of a document. The tools' own have about ten, and what is made of a document (its
digest, a cell's settings) is encoded again, below a few levels more than the parser met."""
_CHUNK = 1 << 20
_HEAD = 1000


def one_trial_each(
    source: Source,
    tally: Tally,
    keys: frozenset[str],
    named: str,
    trial_of: Callable[[dict[str, Any]], Trial],
) -> Iterator[Trial]:
    """As :func:`trials_each`, where a file is one run."""
    return trials_each(source, tally, keys, named, lambda content: [trial_of(content)])


def trials_each(
    source: Source,
    tally: Tally,
    keys: frozenset[str],
    named: str,
    trials_of: Callable[[dict[str, Any]], Sequence[Trial]],
) -> Iterator[Trial]:
    """The trials of each JSON object with these ``keys``. A file that the user chose and that
    lacks them is reported as not ``named``. An object is refused with all its trials."""
    for member in source.members(tally.leave_out):
        if not member.is_of(".json"):
            continue
        content = document(member, tally)
        if not (isinstance(content, dict) and keys <= content.keys()):
            if member.chosen and content is not None:
                tally.leave_out(member.name, None, f"not {named}")
            continue
        tally.rows += 1
        tally.place(member.name, None)
        try:
            yield from trials_of(content)
        except (msgspec.ValidationError, ValueError, OverflowError) as error:
            tally.leave_out(member.name, None, str(error))


def document(member: Member, tally: Tally) -> Any:
    """The member's JSON; None, with the file reported, if it is invalid or too large."""
    tally.files += 1
    parts, size = [], 0
    # In pieces: the size that an archive's header claims is anybody's.
    while chunk := member.stream.read(_CHUNK):
        size += len(chunk)
        if size > MAX_BYTES:
            tally.leave_out(member.name, None, f"larger than {MAX_BYTES >> 20} MiB")
            return None
        parts.append(chunk)
    content = b"".join(parts)
    # Before the encoding is known: web pages and Git LFS pointers begin with ASCII.
    fault = not_the_data(content[:_HEAD].decode("utf-8", "replace"), "JSON")
    if fault is None:
        try:
            # msgspec reads UTF-8 alone; JSON could be UTF-16 or UTF-32 (RFC 4627, 3).
            parsed = msgspec.json.decode(content.decode(json.detect_encoding(content)))
            if not _is_nested_more(parsed):
                return parsed
            fault = f"nested more than {MAX_NESTED} levels deep"
        except UnicodeDecodeError as error:
            fault = f"not text in {error.encoding}: {error.reason} at byte {error.start}"
        except (msgspec.DecodeError, RecursionError) as error:
            fault = f"not JSON: {error}"
    tally.leave_out(member.name, None, fault)
    return None


def _is_nested_more(content: Any) -> bool:
    """Whether it has more than MAX_NESTED levels of objects and lists."""
    level = [content] if isinstance(content, dict | list) else []
    for _ in range(MAX_NESTED):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(level)
