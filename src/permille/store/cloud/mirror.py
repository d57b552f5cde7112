"""The local file of a store in object storage, and how the two are brought together."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from permille.errors import StoreError
from permille.records.machine import MachineSession
from permille.records.trial import Trial
from permille.store.cloud.body import MOST_BYTES, Content, decode, encode
from permille.store.cloud.bucket import Bucket, Listed, is_uid
from permille.store.rows import REFERENCE_SOURCE, Raw
from permille.store.trials import Store
from permille.store.writing import TakenIn

PROBLEMS_KEPT = 100
_FETCHERS = 8
_AT_ONCE = 64
"""The most objects in memory; their sizes together are also limited, to the largest object's."""


class Pulled(NamedTuple):
    """The number of ``new`` trials, of objects ``refused``, and why, for the first of them."""

    new: int
    refused: int
    problems: tuple[str, ...]


class MirroredStore(Store):
    """A local store, each trial of which is also put into a bucket before :meth:`add` returns."""

    def __init__(self, path: Path, bucket: Bucket) -> None:
        super().__init__(path)
        self._bucket = bucket

    def add(self, trial: Trial, raw: Raw | None = None) -> bool:
        """Store one trial durably, here and then in the bucket.

        Raises:
            StoreError: it could not be written here, and nothing of it was; or not there, and it
                is put by the next run's :func:`push`.
        """
        new = super().add(trial, raw)
        try:
            put(self, self._bucket, trial, raw)
        except StoreError as error:
            raise StoreError(
                f"{error} (the finished trial is kept in {self.path} and is uploaded by the next"
                " run)"
            ) from error
        return new

    def take_in(self, trials: Iterable[tuple[Trial, Raw | None]]) -> TakenIn:
        """Store trials of another store, here and then in the bucket.

        Raises:
            StoreError: see :meth:`add`.
        """
        given = list(trials)
        taken = super().take_in(given)
        for trial, raw in given:
            put(self, self._bucket, trial, raw)
        return taken


def local_path(url: str, cache: Path) -> Path:
    """The local file of a URL, on this machine: of a cache that several machines share, each uses
    a file of its own."""
    digest = blake2b(f"{platform.node()}\0{url}".encode(), digest_size=8).hexdigest()
    name = re.sub(r"[^A-Za-z0-9]+", "-", url)[:60].strip("-")
    return cache / "stores" / f"{name}-{digest}.db"


def pull(path: Path, bucket: Bucket) -> Pulled:
    """Fetch the trials that the local file lacks. What is refused is passed over, and looked at
    again the next time.

    Raises:
        StoreError: the bucket cannot be read, or the file not be written; earlier trials are kept.
    """
    with Store(path) as store:
        return pull_into(store, bucket)


def pull_into(
    store: Store, bucket: Bucket, came: Callable[[Trial], None] = lambda trial: None
) -> Pulled:
    """Fetch the trials that a store lacks; ``came`` is called with each that is in it now.

    Raises:
        StoreError: see :func:`pull`.
    """
    new = refused = 0
    problems: list[str] = []
    with ThreadPoolExecutor(_FETCHERS) as fetchers:
        for listed in bucket.listed():
            known = store.known(one.uid for one in listed)
            for batch in _batches([one for one in listed if one.uid not in known]):
                wrong: list[str] = []
                sessions: dict[str, MachineSession] = {}
                # Fetched before the transaction begins; unpacked in it, one at a time.
                bodies = list(fetchers.map(lambda one: _get(bucket, one), batch))
                trials: list[Trial] = []
                # Not put into the store's own bucket, if it has one: their sessions come after
                # them. The run's last :func:`push` does it.
                taken = Store.take_in(store, _noted(_decoded(bodies, sessions, wrong), trials))
                wrong += [*taken.refused, *store.take_in_sessions(sessions.values())]
                new, refused = new + taken.new, refused + len(wrong)
                problems += wrong[: PROBLEMS_KEPT - len(problems)]
                there = store.known(trial.uid for trial in trials)
                for trial in trials:
                    if trial.uid in there:
                        came(trial)
        if new:
            store.restore_rounds()
    return Pulled(new, refused, tuple(problems))


def push(store: Store, bucket: Bucket) -> int:
    """Put the trials that the bucket lacks, such as those of a run whose upload was interrupted;
    their number.

    Raises:
        StoreError: the bucket cannot be listed or written, or a trial is damaged.
    """
    # As bytes, which take three fifths of the memory of text: there may be millions.
    there = {bytes.fromhex(one.uid) for listed in bucket.listed() for one in listed}
    measured = (uid for uid in store.all_uids() if is_uid(uid))
    missing = [uid for uid in measured if bytes.fromhex(uid) not in there]
    for uid in missing:
        trial = store.trial(uid)
        if trial is not None:
            put(store, bucket, trial, store.raw(uid))
    return len(missing)


def put(store: Store, bucket: Bucket, trial: Trial, raw: Raw | None) -> None:
    """Put one trial of a store, with its session.

    Raises:
        StoreError: it is refused, interrupted, or too large for an object.
    """
    session = next((one for one in store.sessions() if one.id == trial.session), None)
    bucket.put(trial.uid, _encoded(Content(trial, raw, session), bucket))


def put_each(
    store: Store, bucket: Bucket, uids: Iterable[str], sessions: Mapping[str, MachineSession]
) -> list[str]:
    """Put those of these trials that the bucket lacks; a line for each that cannot be read, or is
    too large. ``sessions``: the store's, by id.

    Raises:
        StoreError: the bucket cannot be listed or written.
    """
    there = {one.uid for listed in bucket.listed() for one in listed}
    problems: list[str] = []
    for uid in uids:
        if uid in there:
            continue
        try:
            trial = store.trial(uid)
            if trial is None:
                raise StoreError(f"trial {uid} is no longer in {store.path}")
            session = None if trial.session is None else sessions.get(trial.session)
            body = _encoded(Content(trial, store.raw(uid), session), bucket)
        except StoreError as error:
            problems.append(str(error))
        else:
            bucket.put(uid, body)
    return problems


def _encoded(content: Content, bucket: Bucket) -> bytes:
    try:
        return encode(content)
    except ValueError as error:
        uid = content.trial.uid
        raise StoreError(f"trial {uid} cannot be put in {bucket.url}: {error}") from error


def _batches(listed: list[Listed]) -> Iterator[list[Listed]]:
    """Objects that may be in memory at once."""
    batch: list[Listed] = []
    size = 0
    for one in listed:
        if batch and (len(batch) == _AT_ONCE or size + one.size > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one.size
    if batch:
        yield batch


def _decoded(
    bodies: list[tuple[str, bytes | ValueError]],
    sessions: dict[str, MachineSession],
    wrong: list[str],
) -> Iterator[tuple[Trial, Raw | None]]:
    """What the objects hold, one at a time; the newest state of their sessions goes into
    ``sessions``, and a line for each object that is refused into ``wrong``."""
    for uid, body in bodies:
        try:
            if isinstance(body, ValueError):
                raise body
            content = _measured(decode(uid, body))
        except ValueError as error:
            wrong.append(f"object {uid}: {error}")
            continue
        session = content.session
        if session is not None:
            before = sessions.get(session.id, session)
            sessions[session.id] = max(before, session, key=lambda one: (one.ended, one.blocks))
        yield content.trial, content.raw


def _noted(
    contents: Iterable[tuple[Trial, Raw | None]], trials: list[Trial]
) -> Iterator[tuple[Trial, Raw | None]]:
    """The same, with each trial added to ``trials`` as it passes."""
    for trial, raw in contents:
        trials.append(trial)
        yield trial, raw


def _get(bucket: Bucket, one: Listed) -> tuple[str, bytes | ValueError]:
    if one.size > MOST_BYTES:
        return one.uid, ValueError(f"it has {one.size} bytes, more than {MOST_BYTES}")
    try:
        return one.uid, bucket.get(one.uid)
    except ValueError as error:
        return one.uid, error


def _measured(content: Content) -> Content:
    source = content.trial.source
    if source not in ("permille", REFERENCE_SOURCE):
        raise ValueError(f"its source is {source[:40]!r}, and only measured trials are put there")
    return content
