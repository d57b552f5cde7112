"""Read the trials of a store in a process of its own, ahead of the process that writes them.

To read a trial so that it can be trusted takes about as much processor time as to write it. Of a
store of :data:`AHEAD_FROM_BYTES` or more, a second core does the reading.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from permille.collector import without_collector
from permille.errors import StoreError
from permille.records import Record
from permille.store.reading import StoreReader
from permille.store.rows import StoredTrial

AHEAD_FROM_BYTES = 32 * 2**20
"""The size of a file that is worth starting a process for."""
_AT_ONCE_BYTES = 2**18
"""The bytes of trials in one message: what is read ahead is held by both processes."""
_AT_ONCE = 500
"""The most trials in one message: their uids are looked up by one statement, which may not have as
many parameters as one likes (https://www.sqlite.org/limits.html)."""
_PIPE_BYTES = 4 * _AT_ONCE_BYTES
"""Less than some messages, and the two processes would wait for each other in turn. It is as much
as Linux grants any user (pipe(7), pipe-max-size); elsewhere it is ignored."""
_SIZE = struct.Struct("!Q")


class _Message(Record):
    """What the process says: trials, and what was damaged since its last message; as its last word,
    why it stopped."""

    trials: tuple[StoredTrial, ...] = ()
    damage: tuple[str, ...] = ()
    is_last: bool = False
    failure: str | None = None


def stored(source: StoreReader, damage: list[str]) -> Iterator[Sequence[StoredTrial]]:
    """What ``source.stored()`` reads, some at a time; damage is added to the list.

    Raises:
        StoreError: it could not be read.
    """
    if source.path.stat().st_size < AHEAD_FROM_BYTES:
        yield from _some(source)
        return
    # -P, and nothing on stderr: see rolling.py.
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "permille.store.ahead", str(source.path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pipesize=_PIPE_BYTES,
    ) as process:
        assert process.stdout is not None
        try:
            for message in _messages(process.stdout):
                damage += message.damage
                if message.trials:
                    yield message.trials
                if message.is_last:
                    if message.failure is not None:
                        raise StoreError(message.failure)
                    return
        finally:
            # Nobody reads its pipe any more: it would wait for ever.
            process.kill()
    raise StoreError(f"{source.path} was not read to its end: the process that did so was stopped")


def _some(source: StoreReader) -> Iterator[list[StoredTrial]]:
    """The trials in lists that are written and sent at once."""
    some: list[StoredTrial] = []
    size = 0
    for one in source.stored():
        some.append(one)
        size += one.size
        if size >= _AT_ONCE_BYTES or len(some) == _AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some


def _messages(pipe: IO[bytes]) -> Iterator[_Message]:
    while len(head := pipe.read(_SIZE.size)) == _SIZE.size:
        (size,) = _SIZE.unpack(head)
        body = pipe.read(size)
        if len(body) < size:
            return
        yield _MESSAGE.decode(body)


# --- in the other process --------------------------------------------------------------------


@without_collector()
def _main(path: Path) -> None:
    damage: list[str] = []
    failure = None
    try:
        with StoreReader(path, readonly=True, damage=damage) as source:
            for some in _some(source):
                _say(some, damage)
    except StoreError as error:
        failure = str(error)
    _say([], damage, is_last=True, failure=failure)


def _say(
    trials: Sequence[StoredTrial],
    damage: list[str],
    *,
    is_last: bool = False,
    failure: str | None = None,
) -> None:
    message = _Message(trials=tuple(trials), damage=tuple(damage), is_last=is_last, failure=failure)
    # The reader looks through the whole list for each new line: it must stay short.
    damage.clear()
    body = msgspec.msgpack.encode(message)
    sys.stdout.buffer.write(_SIZE.pack(len(body)) + body)
    sys.stdout.buffer.flush()


_MESSAGE = msgspec.msgpack.Decoder(_Message)

if __name__ == "__main__":
    _main(Path(sys.argv[1]))
