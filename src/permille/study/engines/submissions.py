"""What a study has submitted to Slurm, on file, so that the next run waits for the same jobs."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from hashlib import blake2b
from pathlib import Path

import msgspec

from permille.errors import EngineError
from permille.output import write_whole
from permille.records import Record

# Their names when there was one of each for all studies of a store. Such a file may be of jobs that
# were submitted before an upgrade, and still run.
_OLDER_RECORD, _OLDER_NAME = "submitted.json", "submitting"


class Submitted(Record):
    """Jobs that a run has submitted: the digest of its plan, their ids, and the folder of each
    one's trials."""

    plan: str
    jobs: tuple[str, ...]
    folders: tuple[str, ...]


class Submissions:
    """The jobs of one study into one store, in files of the study's own: several studies may be run
    into a store at once. ``trials``: the folders of the study's shares."""

    def __init__(self, folder: Path, study: str, trials: Collection[str]) -> None:
        # A digest: file systems may not tell names by their case, and studies are.
        key = blake2b(study.encode(), digest_size=8).hexdigest()
        self._record, self._name = folder / f"submitted-{key}.json", folder / f"submitting-{key}"
        self._older_record, self._older_name = folder / _OLDER_RECORD, folder / _OLDER_NAME
        self._trials = frozenset(trials)
        self._prefix = f"permille-{study}"[:51]

    def recorded(self) -> list[Submitted]:
        """The jobs of earlier runs of the study, which may have ended.

        Raises:
            EngineError: a record is damaged.
        """
        records = [_read(self._record), self._older()]
        return [record for record in records if record is not None]

    def unrecorded(self) -> list[str]:
        """The names of jobs that an earlier run may have submitted without recording them."""
        names = [_text(self._name), _text(self._older_name)]
        return [name for name in names if name is not None and self._is_ours(name)]

    def begin(self) -> str:
        """The name for jobs that are submitted next, which is on file from now on: if the run is
        killed before it knows their ids, the next run looks for them by their name."""
        name = f"{self._prefix}-{secrets.token_hex(4)}"
        write_whole(self._name, name.encode())
        return name

    def record(self, submitted: Submitted) -> None:
        """The ids of the jobs are known: the name is needed no more."""
        # As a whole: a file that a kill cut off would be refused as damaged.
        write_whole(self._record, msgspec.json.encode(submitted))
        # The older file stays: of a study with a long name, it may be the guard of another one's
        # jobs, and is only asked about.
        self._name.unlink()

    def forget(self) -> None:
        """The jobs have ended: the next run submits what is missing."""
        if self._older() is not None:
            self._older_record.unlink()
        self._record.unlink(missing_ok=True)

    def _older(self) -> Submitted | None:
        """The record of all studies, if it is of this one: it does not name its study, but the
        folders of its trials are of a study's alone."""
        record = _read(self._older_record)
        return None if record is None or self._trials.isdisjoint(record.folders) else record

    def _is_ours(self, name: str) -> bool:
        return name.rpartition("-")[0] == self._prefix


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _read(path: Path) -> Submitted | None:
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Submitted)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, RecursionError) as error:
        raise _damage(path, str(error)) from error
    if not record.jobs or len(record.jobs) != len(record.folders):
        raise _damage(path, "it does not have one folder for each job")
    return record


def _damage(path: Path, problem: str) -> EngineError:
    return EngineError(
        f"{path} is damaged: {problem}; delete it if no jobs of this store are running"
    )
