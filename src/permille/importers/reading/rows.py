"""CSV rows of a member: streamed, of limited size; each error names its line."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

from permille.importers import Tally
from permille.importers.reading.files import Member, Reader
from permille.importers.reading.foreign import not_the_data

MAX_LINE = 1 << 20
"""The most characters in a line; a longer one is skipped and named."""
# Error messages fill several lines of a field (AI Energy Score's error_message). Without a limit, a
# stray quote would join the rest of the file into one row.
MAX_LINES_OF_ROW = 100
_CHUNK = 1 << 16
_DELIMITERS = ",;\t"
# UTF-32's little-endian mark begins with UTF-16's (FF FE), so it is looked for first.
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class BadValue(ValueError):
    """A value that makes its row unusable; the message says which and why."""


# complex: every way in which a CSV line can be wrong has its own message
def rows(
    member: Member,
    tally: Tally,
    required: Sequence[str],
    *,
    breaks_in_fields: bool = False,
    wanted: Callable[[Sequence[str]], bool] = lambda header: True,
    older: Callable[[Sequence[str]], str | None] = lambda header: None,
) -> Iterator[tuple[int, dict[str, str]]]:
    """``(line number, column -> text)`` of every well-formed row.

    A row is a line: a field with a line break in it is a bad row, so that a stray quote affects one
    row and not the rest of the file. With ``breaks_in_fields`` a row continues while a quote is
    open, up to MAX_LINES_OF_ROW. A file whose header (empty, if it has none) is not ``wanted`` is
    skipped without counting it; ``older`` returns a remedy for the header of an unsupported
    version. A repeated header, as in concatenated files, applies from there on. Bytes that are not
    UTF-8 (nor what the file's byte order mark says) are read as Windows-1252, which includes all
    Latin-1 letters. This only affects names, because numbers are the same in all these encodings.
    """
    numbered = lines(member, tally)
    if breaks_in_fields:
        numbered = _joined(numbered)
    header: _Header | None = None
    for number, line in numbered:
        if not line.strip() or (header is None and _SEPARATOR_LINE.fullmatch(line)):
            continue
        if header is None:
            header = _header(line, required) or _any_header(line)
            if not wanted(header.names):
                return  # and is not counted: CodeCarbon's files are read twice, once for each kind
            tally.files += 1
            fault = (
                not_the_data(line, "CSV") or older(header.names) or _fault(header.names, required)
            )
            if fault is not None:
                tally.leave_out(member.name, number, fault)
                return
            continue
        if (again := _header(line, required)) is not None:
            fault = _fault(again.names, required)
            if not wanted(again.names):
                fault = "from here on it is another kind of file: import the parts separately"
            if fault is not None:
                tally.leave_out(member.name, number, fault)
                return
            header = again
            continue
        tally.rows += 1
        row = _row(line, header)
        if isinstance(row, str):
            tally.leave_out(member.name, number, row)
        else:
            yield number, row
    if header is None and wanted(()):
        tally.files += 1
        tally.leave_out(member.name, None, "empty")


class _Header(NamedTuple):
    delimiter: str
    names: list[str]


_SEPARATOR_LINE = re.compile(r"\ufeff?sep=.\s*", re.IGNORECASE)
"""The line that tells Excel the delimiter."""


def _header(line: str, required: Sequence[str]) -> _Header | None:
    """The line as a header; None if it does not have every required column."""
    # Checked for every line, because it is quicker than splitting them all.
    if not all(name in line for name in required):
        return None
    for delimiter in _DELIMITERS:
        header = _Header(delimiter, _names(line, delimiter))
        if set(required) <= set(header.names):
            return header
    return None


def _any_header(line: str) -> _Header:
    delimiter = next((d for d in _DELIMITERS if d in line), ",")
    return _Header(delimiter, _names(line, delimiter))


def _names(line: str, delimiter: str) -> list[str]:
    return [name.strip() for name in _split(line.lstrip("\ufeff"), delimiter) or []]


def _row(line: str, header: _Header) -> dict[str, str] | str:
    """The texts of a line by column, or why it is no row."""
    fields = _split(line, header.delimiter)
    if fields is None:
        most = csv.field_size_limit()
        longer = f", or a field of over {most:,} characters" if len(line) > most else ""
        return f"not CSV: a stray or unclosed quote{longer}"
    if len(fields) == len(header.names):
        return dict(zip(header.names, fields, strict=True))
    reason = f"{len(fields)} fields where the header has {len(header.names)}"
    if len(fields) > len(header.names) and header.delimiter == ",":
        reason += " (if its numbers have decimal commas, save it with decimal points)"
    return reason


def _fault(header: Sequence[str], required: Sequence[str]) -> str | None:
    missing = [name for name in required if name not in header]
    if missing:
        return f"no column {', '.join(missing)}"
    # Spreadsheets may leave several columns without a name; nothing reads them.
    twice = [name for name, times in Counter(header).items() if name and times > 1]
    return f"two columns are called {twice[0][:40]!r}: unclear which one counts" if twice else None


def _joined(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        whole = line
        for _ in range(MAX_LINES_OF_ROW):
            if whole.count('"') % 2 == 0:
                break
            whole += next(lines, (0, ""))[1]
        yield number, whole


def _split(line: str, delimiter: str) -> list[str] | None:
    try:
        # strict: csv would else close an open quote by itself, and join what stands behind one.
        return next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration):
        return None


def lines(member: Member, tally: Tally) -> Iterator[tuple[int, str]]:
    """``(line number, line)`` of a member of any encoding; too long a line is named and skipped."""
    encoding, stream = _encoding(member.stream)
    text = io.TextIOWrapper(stream, encoding=encoding, errors=_AS_WINDOWS)
    try:
        for number in itertools.count(1):
            line = text.readline(MAX_LINE)
            if not line:
                return
            if len(line) == MAX_LINE and not line.endswith("\n"):
                tally.rows += 1
                tally.leave_out(member.name, number, f"a line of over {MAX_LINE} characters")
                while line and not line.endswith("\n"):
                    line = text.readline(MAX_LINE)
                continue
            yield number, line
    except UnicodeError as error:  # UTF-16 and UTF-32 can be truncated within a code unit
        tally.leave_out(member.name, None, f"not {encoding}: {error}")
    finally:
        # Collected, the wrapper would close the stream of the archive with it.
        text.detach()


def _encoding(stream: Reader) -> tuple[str, io.BufferedReader[Any]]:
    reader = io.BufferedReader(cast(io.RawIOBase, _Raw(stream)), _CHUNK)
    head = reader.peek(4)[:4]
    marked = next((name for bom, name in _BOMS if head.startswith(bom)), None)
    if marked is None and len(head) == 4 and b"\0" in head:
        # UTF-16 without a byte order mark: every other byte of ASCII letters is 0.
        shapes = {"1010": "utf-16-le", "0101": "utf-16-be"}
        marked = shapes.get("".join("01"[byte > 0] for byte in head))
    return marked or "utf-8", reader


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError) or error.encoding != "utf-8":
        return codecs.backslashreplace_errors(error)  # type: ignore[return-value]
    # Five bytes have no letter in Windows-1252 either; they are shown by their numbers, as \x81.
    undecoded = error.object[error.start : error.end]
    return undecoded.decode("cp1252", "backslashreplace"), error.end


_AS_WINDOWS = "permille-windows-1252"
codecs.register_error(_AS_WINDOWS, _as_windows)


class _Raw(io.RawIOBase):
    """Any readable object as a raw stream, for BufferedReader."""

    def __init__(self, stream: Reader) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray, /) -> int:  # type: ignore[override]
        # A stream of an archive refuses to give more than MAX_READ at once.
        data = self._stream.read(min(len(buffer), _CHUNK))
        buffer[: len(data)] = data
        return len(data)


# --- values ---------------------------------------------------------------------------------


_DECIMAL_COMMA = re.compile(r"[+-]?[\d.]*,[\d.,]*([eE][+-]?\d+)?")


def number(row: dict[str, str], column: str) -> float | None:
    """The finite number in ``column``; None if it is absent, empty or NaN.

    Raises:
        BadValue: it is not a number, or infinite.
    """
    text = row.get(column, "").strip()
    # Python writes None, pandas nothing, NaN or <NA>, and SQL's tools null.
    if text.lower() in ("", "nan", "none", "null", "<na>"):
        return None
    try:
        value = float(text)
    except ValueError:
        if _DECIMAL_COMMA.fullmatch(text):
            # "1,234" may mean 1.234 or 1,234: read wrongly, it would be off by a factor of 1,000.
            raise BadValue(
                f"{column} is {_shown(text)}, with a comma: save the file with decimal points"
            ) from None
        raise BadValue(f"{column} is {_shown(text)}, not a number") from None
    if not math.isfinite(value):
        raise BadValue(f"{column} is {_shown(text)}, not a finite number")
    return value


def not_negative(row: dict[str, str], column: str) -> float | None:
    """Like :func:`number`, but a negative number is an error too."""
    value = number(row, column)
    if value is not None and value < 0:
        raise BadValue(f"{column} is negative: {value:g}")
    return value


def positive(row: dict[str, str], column: str) -> float:
    """A required number above 0.

    Raises:
        BadValue: absent, not a number, 0 or negative.
    """
    value = number(row, column)
    if value is None:
        raise BadValue(f"{column} is missing")
    if value <= 0:
        raise BadValue(f"{column} must be above 0, not {value:g}")
    return value


def whole(row: dict[str, str], column: str) -> int:
    """A required whole number from 1 up that fits into 64 bits.

    Raises:
        BadValue: it is not one.
    """
    value = positive(row, column)
    if value != int(value) or value >= 2**63:
        raise BadValue(f"{column} must be a whole number of at most 64 bits, not {value:g}")
    return int(value)


def text(row: dict[str, str], column: str) -> str | None:
    """The text in ``column``; None if it is absent or empty."""
    return row.get(column, "").strip() or None


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:39] + "…")
