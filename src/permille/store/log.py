"""Check the write-ahead log before SQLite opens it.

SQLite uses the log up to the first frame with a wrong checksum and silently discards the rest, as
it must after a power cut. So a flipped bit loses every later transaction. Here the log is read
first: a complete frame of this log with a wrong checksum is reported as damage.
https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import struct
import time
from pathlib import Path

from permille.errors import StoreError

_HEADER_BYTES = 32
_FRAME_BYTES = 24
_MAGIC = 0x377F0682
_WAL_FORMAT = b"\2\2"  # at offset 18 of the file's header: the file uses a write-ahead log
_TRIES = 4


def log_of(path: Path) -> Path:
    """The path of SQLite's log for the file at ``path``."""
    return path.with_name(f"{path.name}-wal")


def log_problem(path: Path) -> str | None:
    """The damage in the log of the store at ``path``; None if it is intact or absent.

    A log that is being written is checked again.

    Raises:
        StoreError: it cannot be read.
    """
    log = log_of(path)
    problem: str | None = None
    for _ in range(_TRIES):
        try:
            before = log.stat()
            if before.st_size == 0:
                return None
            with path.open("rb") as file:
                header = file.read(20)
            problem = _problem(header, log)
            if problem is None:
                return None
            time.sleep(0.05)
            now = log.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"cannot read the store's log {log}: {error.strerror}") from error
        if (before.st_size, before.st_mtime_ns) == (now.st_size, now.st_mtime_ns):
            return problem
    return problem


def _problem(header: bytes, log: Path) -> str | None:
    name = log.name
    if not header:
        return f"it is empty, but {name} next to it is not"
    with log.open("rb") as file:
        head = file.read(_HEADER_BYTES)
        if len(head) < _HEADER_BYTES:
            return None  # a writer stopped before it had written anything
        if header[18:20] != _WAL_FORMAT:
            return f"its header does not mention its log {name}"
        magic, _, page_bytes, _, salt_1, salt_2, sum_1, sum_2 = struct.unpack(">8I", head)
        order = ">" if magic & 1 else "<"
        checksum = _checksum(order, head[:24])
        if magic & ~1 != _MAGIC or checksum != (sum_1, sum_2) or not 512 <= page_bytes <= 65536:
            return f"the header of its log {name}"
        broken: int | None = None
        number = 0
        while len(frame := file.read(_FRAME_BYTES + page_bytes)) == _FRAME_BYTES + page_bytes:
            number += 1
            _, _, *recorded = struct.unpack(">6I", frame[:_FRAME_BYTES])
            ours = recorded[:2] == [salt_1, salt_2]
            if broken is not None:
                if ours:
                    return _broken(name, broken)
                continue
            computed = _checksum(order, frame[:8] + frame[_FRAME_BYTES:], checksum)
            fits = list(computed) == recorded[2:]
            if ours != fits:
                return _broken(name, number)
            # SQLite begins the log anew with other salts, and overwrites it from the start: what is
            # left of the older log follows the newest frames.
            if not fits:  # from an older log in the same file, or a flipped bit in both
                broken = number
            checksum = computed
    return None


def _broken(name: str, frame: int) -> str:
    return f"its log {name} is damaged at frame {frame}; its trials from there on are missing"


def _checksum(order: str, data: bytes, start: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    first, second = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
