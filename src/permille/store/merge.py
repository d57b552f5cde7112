"""Merge the stores of several machines: every trial once, by its uid."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from permille.collector import without_collector
from permille.errors import StoreError
from permille.records import Record
from permille.store import ahead
from permille.store.file import appearing
from permille.store.rows import StoredTrial
from permille.store.trials import Store

AT_ONCE_BYTES = 64 * 2**20
"""The bytes of trials written in one transaction. Almost every trial falls on another page of the
index of uids, unless there are many in a transaction; but others wait for it to end."""
PROBLEMS_SHOWN = 1000


class Merged(Record):
    """The result of a merge: the numbers of ``new`` trials, of those already ``known``, and of
    those ``refused``; ``problems`` has one line per refused trial or damaged item."""

    stores: int
    new: int = 0
    known: int = 0
    refused: int = 0
    problems: tuple[str, ...] = ()


@without_collector()
def merge(into: Path, sources: Sequence[Path]) -> Merged:
    """Take the trials of every source, with their recordings, rounds and sessions, and the windows
    of watches into one store, which is made if it is not there. The sources are only read. Doing it
    again changes nothing; a merge that was interrupted is finished by running it again.

    Raises:
        StoreError: a source is missing, is ``into`` itself, or is not a store, which is checked
            before anything is written; or ``into`` cannot be written, and earlier trials are safe.
    """
    _check(into, sources)
    new, known, refused = 0, 0, 0
    problems: list[str] = []
    with _target(into) as target:
        for path in sources:
            with Store(path, readonly=True, damage=problems) as source:
                came: Counter[tuple[object, ...]] = Counter()
                for some in _batches(ahead.stored(source, problems)):
                    taken = target.take_over(some)
                    came.update(taken.came)
                    new, known = new + taken.new, known + taken.known
                    refused += len(taken.refused)
                    problems += [f"{path}: {line}" for line in taken.refused]
                    del problems[PROBLEMS_SHOWN:]
                target.adopt(source, came)
                target.advance(source.starts())
                problems += [
                    f"{path}: {line}"
                    for line in (
                        *target.take_in_sessions(source.sessions()),
                        *target.take_in_windows(source.windows()),
                    )
                ]
                del problems[PROBLEMS_SHOWN:]
    return Merged(
        stores=len(sources), new=new, known=known, refused=refused, problems=tuple(problems)
    )


@contextlib.contextmanager
def _target(into: Path) -> Iterator[Store]:
    """The store to write into. A new one appears when it is whole: until then, nothing of it can be
    lost that the sources do not have, and it is written without a log, which would double what goes
    to the disk."""
    if into.exists():
        with Store(into) as target:
            yield target
        return
    try:
        with appearing(into.resolve()) as part, Store(part) as target, target.unsynced():
            yield target
    except FileExistsError as error:
        raise StoreError(f"{into} was made by another process: merge again") from error


def _check(into: Path, sources: Sequence[Path]) -> None:
    for path in sources:
        if not path.exists():
            raise StoreError(f"there is no store at {path}")
        if into.exists() and path.samefile(into):
            raise StoreError(f"{path} cannot be merged into itself; name another file first")
        with Store(path, readonly=True, damage=[]):
            pass  # invalid stores and newer versions are refused before anything is written


def _batches(trials: Iterator[Sequence[StoredTrial]]) -> Iterator[Iterator[Sequence[StoredTrial]]]:
    """Iterators of about :data:`AT_ONCE_BYTES`. Each must be used up before the next: what is read
    is written at once, and not held."""
    for first in trials:
        yield _batch(first, trials)


def _batch(
    first: Sequence[StoredTrial], trials: Iterator[Sequence[StoredTrial]]
) -> Iterator[Sequence[StoredTrial]]:
    size = 0
    for some in chain([first], trials):
        yield some
        size += sum(one.size for one in some)
        if size >= AT_ONCE_BYTES:
            return
