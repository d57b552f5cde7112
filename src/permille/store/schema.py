"""The schema: its migration steps, and the exact schema that a file must have."""

from __future__ import annotations

import sqlite3
import zlib
from functools import cache

from permille.store import rows
from permille.store.seals import Adding, seal

APPLICATION_ID = 0x70_65_72_6D  # "perm"
SCHEMA_VERSION = 6

_SCHEMA_1 = """
CREATE TABLE trial (
    id          INTEGER PRIMARY KEY,
    uid         TEXT NOT NULL UNIQUE,
    study       TEXT NOT NULL,
    cell        TEXT NOT NULL,
    repeat      INTEGER NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('done', 'failed', 'invalid')),
    source      TEXT NOT NULL,
    task        TEXT NOT NULL,
    dataset     TEXT NOT NULL,
    model       TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    protocol    TEXT NOT NULL,
    body        BLOB NOT NULL
);
CREATE INDEX trial_by_study ON trial (study, cell);
CREATE TABLE raw (
    trial INTEGER NOT NULL REFERENCES trial (id) ON DELETE CASCADE,
    kind  TEXT NOT NULL CHECK (kind IN ('recording', 'spans', 'durations')),
    body  BLOB NOT NULL,
    PRIMARY KEY (trial, kind)
) WITHOUT ROWID;
"""

# Rounds (`run --fresh`), and a checksum of each body: a flipped bit in a digit is valid JSON.
_SCHEMA_2 = """
ALTER TABLE trial ADD COLUMN round INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trial ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
UPDATE trial SET crc = crc32(body);
CREATE INDEX trial_fresh ON trial (study, cell, round) WHERE round > 0;
CREATE TABLE start (
    study       TEXT NOT NULL,
    cell        TEXT NOT NULL,
    protocol    TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    round       INTEGER NOT NULL,
    PRIMARY KEY (study, cell, protocol, fingerprint)
) WITHOUT ROWID;
"""

# The roll-up (rollup.py). A body of NULL is made when a writer closes the store.
_SCHEMA_3 = """
CREATE TABLE rollup (
    study       TEXT NOT NULL,
    source      TEXT NOT NULL,
    cell        TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    protocol    TEXT NOT NULL,
    round       INTEGER NOT NULL,
    first       INTEGER NOT NULL,
    newest      INTEGER NOT NULL,
    trials      INTEGER NOT NULL,
    made_by     TEXT NOT NULL DEFAULT '',
    crc         INTEGER NOT NULL DEFAULT 0,
    body        BLOB,
    UNIQUE (study, source, cell, fingerprint, protocol, round)
);
INSERT INTO rollup (study, source, cell, fingerprint, protocol, round, first, newest, trials)
    SELECT study, source, cell, fingerprint, protocol, round, min(id), max(id), count(*)
    FROM trial GROUP BY study, source, cell, fingerprint, protocol, round;
"""

# Seals (seals.py) over keys and bodies, in place of the checksum of the bodies alone. A row that
# is damaged already gets a seal that does not fit it: it must not be made good by the migration.
_SCHEMA_4 = f"""
DROP INDEX trial_fresh;
ALTER TABLE trial RENAME COLUMN crc TO seal;
ALTER TABLE trial ADD COLUMN parts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE raw ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE start ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
UPDATE raw SET seal = seal_of(trial, kind, body);
UPDATE start SET seal = seal_of(study, cell, protocol, fingerprint, round, x'');
UPDATE trial SET
    parts = coalesce((SELECT seal_sum(raw.seal) FROM raw WHERE raw.trial = trial.id), 0);
UPDATE trial SET seal = seal_of_row(seal, {", ".join(rows.KEYS)}, body);
DROP TABLE rollup;
CREATE TABLE rollup (
    study       TEXT NOT NULL,
    source      TEXT NOT NULL,
    cell        TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    protocol    TEXT NOT NULL,
    round       INTEGER NOT NULL,
    first       INTEGER NOT NULL,
    newest      INTEGER NOT NULL,
    trials      INTEGER NOT NULL,
    seals       INTEGER NOT NULL,
    fold        INTEGER NOT NULL DEFAULT 0,
    body        BLOB,
    seal        INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (study, source, cell, fingerprint, protocol, round)
);
INSERT INTO rollup
    (study, source, cell, fingerprint, protocol, round, first, newest, trials, seals)
    SELECT study, source, cell, fingerprint, protocol, round, min(id), max(id), count(*),
        seal_sum(seal)
    FROM trial GROUP BY study, source, cell, fingerprint, protocol, round ORDER BY min(id);
UPDATE rollup SET seal = seal_of(study, source, cell, fingerprint, protocol, round, first, newest,
    trials, seals, fold, x'');
CREATE TABLE totals (
    name  TEXT NOT NULL PRIMARY KEY,
    rows  INTEGER NOT NULL,
    seals INTEGER NOT NULL,
    seal  INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
INSERT INTO totals (name, rows, seals)
    SELECT 'trial', count(*), coalesce(seal_sum(seal), 0) FROM trial
    UNION ALL SELECT 'raw', count(*), coalesce(seal_sum(seal), 0) FROM raw
    UNION ALL SELECT 'start', count(*), coalesce(seal_sum(seal), 0) FROM start
    UNION ALL SELECT 'rollup', count(*), coalesce(seal_sum(seal), 0) FROM rollup;
UPDATE totals SET seal = seal_of(name, rows, seals, x'');
"""

# Sessions (sessions.py): what trials name by their ``session``. The table comes last, so that the
# others begin on the pages on which they always began.
_SCHEMA_5 = """
CREATE TABLE session (
    id   TEXT NOT NULL PRIMARY KEY,
    body BLOB NOT NULL,
    seal INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO totals (name, rows, seals) VALUES ('session', 0, 0);
UPDATE totals SET seal = seal_of(name, rows, seals, x'') WHERE name = 'session';
"""

# Windows of watches (windows.py), which are no trials.
_SCHEMA_6 = """
CREATE TABLE watch (
    watch  TEXT NOT NULL,
    number INTEGER NOT NULL,
    body   BLOB NOT NULL,
    seal   INTEGER NOT NULL,
    PRIMARY KEY (watch, number)
) WITHOUT ROWID;
INSERT INTO totals (name, rows, seals) VALUES ('watch', 0, 0);
UPDATE totals SET seal = seal_of(name, rows, seals, x'') WHERE name = 'watch';
"""

STEPS = (_SCHEMA_1, _SCHEMA_2, _SCHEMA_3, _SCHEMA_4, _SCHEMA_5, _SCHEMA_6)
"""``STEPS[n]`` takes a file from schema n to n + 1; a new file takes them all."""


def create(db: sqlite3.Connection, version: int = 0, *, to: int = SCHEMA_VERSION) -> None:
    """Migrate the file from schema ``version`` (0: empty) to ``to``, in one transaction."""
    db.create_function("crc32", 1, zlib.crc32, deterministic=True)
    db.create_function("seal_of", -1, lambda *row: seal(row[:-1], row[-1]), deterministic=True)
    db.create_function("seal_of_row", -1, _of_row, deterministic=True)
    functions(db)
    steps = "".join(STEPS[version:to])
    try:
        # BEGIN in the script: executescript commits what was begun before it (docs.python.org).
        # The numbers are in the file's header, so that they are part of the transaction.
        db.executescript(
            f"BEGIN IMMEDIATE; {steps} PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {to}; COMMIT;"
        )
    except sqlite3.Error:
        if db.in_transaction:
            db.rollback()
        raise


def functions(db: sqlite3.Connection) -> None:
    """Register the SQL functions that reading needs."""
    db.create_aggregate("seal_sum", 1, Adding)


def _of_row(crc: object, *row: object) -> int:
    """The seal of a trial that was stored with a checksum of only its body."""
    keys, body = row[:-1], row[-1]
    computed = seal(keys, body)
    return computed if rows.was_whole(crc, keys, body) else computed ^ 1


@cache
def expected(version: int) -> frozenset[tuple[str, str, str, str | None]]:
    """Every entry of the schema of that version (see :func:`entries`)."""
    db = sqlite3.connect(":memory:")
    try:
        create(db, to=version)
        return entries(db)
    finally:
        db.close()


def entries(db: sqlite3.Connection) -> frozenset[tuple[str, str, str, str | None]]:
    """The entries of the schema: type, name, table and SQL of each table, index, view and trigger,
    ignoring white space."""
    return frozenset(
        (kind, name, table, " ".join(sql.split()) if isinstance(sql, str) else sql)
        for kind, name, table, sql in db.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master"
        )
    )
