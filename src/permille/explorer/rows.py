"""The selected rows with the carbon settings applied: DuckDB filters them, Python formats them.

Every value in a request is bound as a parameter; columns only come from the lists below.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from permille.analysis.study_cells import METERED
from permille.carbon.footprint import carbon_overhead, energy_overhead
from permille.carbon.settings import CarbonSettings, resolve
from permille.errors import UsageError
from permille.explorer.cells import Shown
from permille.records import Record
from permille.records.energy import BOUNDARIES, Boundary
from permille.tabular import as_csv, parquet_of
from permille.units import JOULES_PER_KWH, MOST_TYPED

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NAMES = (
    "task",
    "dataset",
    "model",
    "category",
    "architecture",
    "provenance",
    "device",
    "study",
    "origin",
)
"""Columns that can be filtered by an exact name."""

_TYPES = {
    "id": "VARCHAR",
    "origin": "VARCHAR",
    "source": "VARCHAR",
    "study": "VARCHAR",
    "task": "VARCHAR",
    "dataset": "VARCHAR",
    "model": "VARCHAR",
    "category": "VARCHAR",
    "architecture": "VARCHAR",
    "weights": "VARCHAR",
    "backend": "VARCHAR",
    "device": "VARCHAR",
    "params": "BIGINT",
    "boundary": "VARCHAR",
    "net": "BOOLEAN",
    "provenance": "VARCHAR",
    "value_j": "DOUBLE",
    "low_j": "DOUBLE",
    "high_j": "DOUBLE",
    "done": "BIGINT",
    "failed": "BIGINT",
    "invalid": "BIGINT",
    "seconds": "DOUBLE",
    "latency_p50": "DOUBLE",
    "latency_p95": "DOUBLE",
    "metric": "VARCHAR",
    "quality": "DOUBLE",
}
_PLAIN = [c for c in _TYPES if c not in ("id", "value_j", "low_j", "high_j", "boundary", "net")]
LONGEST = 300
"""The most characters in one filter's value."""


class RowQuery(Record):
    """A parsed request: filters, boundary, and carbon settings. Made by :func:`question`."""

    names: dict[str, str]
    search: str
    least_params: float | None
    most_params: float | None
    boundary: Boundary
    net: bool
    carbon: CarbonSettings


def question(query: Mapping[str, str]) -> RowQuery:
    """Parse a query string; its names are those in the page's address.

    Raises:
        UsageError: a value is too long or invalid.
        CarbonError: an unknown place or year.
    """
    for name, value in query.items():
        if len(value) > LONGEST:
            raise UsageError(f"{name[:40]!r} has more than {LONGEST} characters")
    named = query.get("boundary", "compute")
    boundary = next((b for b in BOUNDARIES if b == named), None)
    if boundary is None:
        raise UsageError(f"boundary must be one of {', '.join(BOUNDARIES)}")
    year = _number(query, "year")
    return RowQuery(
        names={name: query[name] for name in NAMES if query.get(name)},
        search=query.get("search", ""),
        least_params=_number(query, "least"),
        most_params=_number(query, "most"),
        boundary=boundary,
        net=query.get("net") == "1",
        carbon=resolve(
            query.get("region") or None,
            _number(query, "intensity"),
            None if year is None else int(year),
            _number(query, "pue"),
        ),
    )


def _number(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise UsageError(f"{name} is a number, not {text[:40]!r}") from error
    # Written as what must hold: a NaN passes no comparison.
    if not 0 <= value <= MOST_TYPED:
        raise UsageError(f"{name} is a number from 0 to {MOST_TYPED:g}, not {text[:40]!r}")
    return value


class Rows:
    """The cells as an in-memory DuckDB table that only this class can access."""

    def __init__(self, cells: Sequence[Shown]) -> None:
        import duckdb

        self._folder = tempfile.TemporaryDirectory(prefix="permille-")
        self._db = duckdb.connect(":memory:")
        _load(self._db, cells, Path(self._folder.name))
        # From here on, queries can only access the folder for their Parquet files.
        # In this order: without external access, DuckDB refuses to change the folders.
        self._db.execute(f"SET allowed_directories = ['{self._folder.name}']")
        self._db.execute("SET enable_external_access = false")
        self._db.execute("SET lock_configuration = true")

    def close(self) -> None:
        """Free the table and its folder."""
        self._db.close()
        self._folder.cleanup()

    def records(self, query: RowQuery) -> list[dict[str, Any]]:
        """The rows for download; missing values are None."""
        sql, values = _select(query)
        # A cursor each: requests are answered in threads, which cannot share a connection
        # (https://duckdb.org/docs/stable/guides/python/multiple_threads).
        result = self._db.cursor().execute(sql, values)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def parquet(self, query: RowQuery) -> bytes:
        """The rows as a Parquet file."""
        sql, values = _select(query)
        return parquet_of(self._db.cursor(), sql, values, Path(self._folder.name))


def _load(db: DuckDBPyConnection, cells: Sequence[Shown], folder: Path) -> None:
    file = folder / "cells.json"
    # By a file: DuckDB takes seconds for thousands of single inserts.
    with file.open("w", encoding="utf-8") as out:
        for shown in cells:
            for record in _lines(shown):
                out.write(json.dumps(record, allow_nan=False) + "\n")
    types = ", ".join(f"{name}: '{type_}'" for name, type_ in _TYPES.items())
    db.execute(
        f"CREATE TABLE cell AS SELECT * FROM read_json(?, format = 'newline_delimited',"
        f" columns = {{{types}}})",
        [str(file)],
    )
    file.unlink()


def _lines(shown: Shown) -> list[dict[str, Any]]:
    """One row per boundary, gross and net."""
    cell = shown.cell
    lines = []
    for boundary in METERED:
        summary = cell.summaries[boundary]
        for net in (False, True):
            sums = summary.net if net else summary.energy
            estimate = sums.estimate() if sums else None
            quality = summary.quality
            lines.append(
                {
                    "id": shown.id,
                    "origin": shown.origin,
                    "source": summary.source,
                    "study": summary.study,
                    "task": summary.cell.task,
                    "dataset": summary.cell.dataset,
                    "model": summary.cell.model,
                    "category": summary.cell.category,
                    "architecture": cell.architecture,
                    "weights": shown.weights,
                    "backend": summary.cell.backend,
                    "device": summary.device,
                    "params": summary.params,
                    "boundary": boundary,
                    "net": net,
                    "provenance": summary.provenance,
                    "value_j": estimate and estimate.value,
                    "low_j": estimate and estimate.low,
                    "high_j": estimate and estimate.high,
                    "done": summary.done,
                    "failed": summary.failed,
                    "invalid": summary.invalid,
                    "seconds": summary.seconds and summary.seconds.mean,
                    "latency_p50": summary.latency_p50_s,
                    "latency_p95": summary.latency_p95_s,
                    "metric": quality and quality.metric,
                    "quality": quality and quality.value,
                }
            )
    return lines


def _select(query: RowQuery) -> tuple[str, list[Any]]:
    """The query and its parameters, in the order of their placeholders."""
    carbon = query.carbon
    boundary = query.boundary
    kwh = energy_overhead(carbon.pue, boundary) / JOULES_PER_KWH
    grams = kwh * carbon.intensity_g_per_kwh * carbon_overhead(carbon.pue, boundary)
    figures: list[str] = []
    values: list[Any] = []
    for name, factor in (("kwh_per_1000", kwh), ("co2e_g_per_1000", grams)):
        for column, suffix in (("value_j", ""), ("low_j", "_low"), ("high_j", "_high")):
            figures.append(f"{column} * ?::DOUBLE AS {name}{suffix}")
            values.append(factor)
    settings = {
        "boundary": query.boundary,
        "net": query.net,
        "region": carbon.region,
        "year": carbon.year,
        "intensity_g_per_kwh": carbon.intensity_g_per_kwh,
        "intensity_source": carbon.source,
        "pue": carbon.pue,
    }
    kinds = ("VARCHAR", "BOOLEAN", "VARCHAR", "BIGINT", "DOUBLE", "VARCHAR", "DOUBLE")
    # With types: of a parameter that is None alone, DuckDB makes a column of the type NULL, which
    # the Parquet file would have where no region is chosen.
    constants = [f"?::{kind} AS {name}" for name, kind in zip(settings, kinds, strict=True)]
    values += settings.values()
    clauses = ["boundary = ?", "net = ?"]
    values += ["node" if boundary == "facility" else boundary, query.net]
    for name, value in query.names.items():
        clauses.append(f"{name} = ?")
        values.append(value)
    for word in filter(None, query.search.split(" ")):  # as the page does
        # Not LIKE, to which % and _ in a name mean something else.
        clauses.append("contains(lower(model), lower(?))")
        values.append(word)
    for mark, bound in ((">=", query.least_params), ("<=", query.most_params)):
        if bound is not None:
            clauses.append(f"params {mark} ?::DOUBLE")
            values.append(bound)
    select = ", ".join([*(f"{c}" for c in _PLAIN), *figures, *constants])
    return f"SELECT {select} FROM cell WHERE {' AND '.join(clauses)} ORDER BY rowid", values


# --- words -----------------------------------------------------------------------------------


def csv_text(records: Sequence[Mapping[str, Any]]) -> str:
    """The records as CSV; true and false are written as in the page."""
    words = {True: "true", False: "false"}
    return as_csv(
        [{k: words[v] if isinstance(v, bool) else v for k, v in r.items()} for r in records]
    )
