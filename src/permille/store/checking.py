"""Check that a file is a store, of which version, and whole, before it is trusted."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from permille.errors import StoreError
from permille.store.failures import damaged
from permille.store.log import log_of
from permille.store.schema import APPLICATION_ID, SCHEMA_VERSION, entries, expected

CHECKED_BYTES = 64 * 2**20
"""Files up to this size are checked completely before they are written."""
_TABLES = ("trial", "rollup", "start", "session", "watch", "totals")


def version_of(db: sqlite3.Connection, path: Path) -> int:
    """The file's schema version, after checking that it is exactly permille's; 0 for a new file.

    Raises:
        StoreError: it is not a store, has another schema, is damaged, or from a newer permille.
    """
    schema = entries(db)
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if not schema:
        if path.stat().st_size == 0:
            return 0
        raise StoreError(
            damaged(
                path,
                f"it has no tables: its first page is damaged, or it was copied without its log"
                f" {log_of(path).name}",
            )
        )
    known = next((n for n in range(SCHEMA_VERSION, 0, -1) if schema == expected(n)), None)
    if application != APPLICATION_ID and known is None:
        raise StoreError(f"{path} is a database, but not permille's")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer permille (schema {version}, this one knows"
            f" {SCHEMA_VERSION}); upgrade permille to read it"
        )
    if known is None:
        raise StoreError(damaged(path, _foreign(schema, version)))
    if (application, version) != (APPLICATION_ID, known):
        raise StoreError(damaged(path, f"the numbers of its first page: {application}, {version}"))
    return known


def _foreign(schema: frozenset[tuple[str, str, str, str | None]], version: int) -> str:
    """The differences of a schema from permille's."""
    if version < 1:
        return f"schema {version}"
    ours = expected(version)
    more = sorted(f"{kind} {name}" for kind, name, _, _ in schema - ours)
    less = sorted(f"{kind} {name}" for kind, name, _, _ in ours - schema)
    what = f"{more[0]} is not permille's" if more else f"{less[0]} is missing"
    return f"{what}; nothing in it was run"


def require_whole(db: sqlite3.Connection, path: Path) -> None:
    """Nothing is written into a damaged structure, nor where an index hides a trial."""
    # quick_check does not compare an index with its table (sqlite.org/pragma.html).
    checks = [f"integrity_check({table})" for table in _TABLES]
    if path.stat().st_size <= CHECKED_BYTES:
        checks.append("quick_check(1)")
    there = {name for _, name, _, _ in entries(db)}
    for check in checks:
        table = check.partition("(")[2].rstrip(")")
        if table in there or check.startswith("quick"):
            answer = db.execute(f"PRAGMA {check}").fetchone()[0]
            if answer != "ok":
                raise StoreError(damaged(path, answer.replace("\n", " ")))
