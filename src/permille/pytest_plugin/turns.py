"""Under pytest-xdist, tests that measure run while no other worker runs a test.

A meter reads the whole machine, so the energy of a test that runs beside others would contain
theirs.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Run one test: ``alone``, or beside others that are not alone.

    Everyone passes the door one by one, so a test that waits to be alone is not overtaken. The
    kernel releases the locks of a worker that dies.

    Raises:
        OSError: the folder does not exist, or cannot be written.
    """
    with (folder / "door").open("ab") as door, (folder / "room").open("ab") as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        # Not held during the test: the others could not come in beside it.
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
