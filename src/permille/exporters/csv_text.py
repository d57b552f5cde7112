"""CSV that is safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from permille.escaping import inert, plain


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """A header, and one line a row; all rows have the first one's keys. No cell begins as a
    formula does: text that would is put behind an apostrophe (OWASP, CSV Injection), and holds no
    control characters. None is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(rows[0])
    writer.writerows([[_cell(value) for value in row.values()] for row in rows])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return inert(plain(value).replace("\t", " "))
