"""Blocking work within asyncio."""

from __future__ import annotations

from collections.abc import Callable


async def in_thread(work: Callable[[], None]) -> None:
    """Do blocking work in a thread, to its end even if this task is cancelled meanwhile: a recorder
    that was half started would stay behind, with the machine's lock.

    Raises:
        CancelledError: the task was cancelled; the work is done nevertheless.
    """
    import asyncio

    done = asyncio.get_running_loop().run_in_executor(None, work)
    cancelled: asyncio.CancelledError | None = None
    # A loop, because a task that waits may be cancelled more than once.
    while not done.done():
        try:
            # wait() leaves the work alone when this task is cancelled; to await it would cancel it.
            await asyncio.wait([done])
        except asyncio.CancelledError as error:
            cancelled = error
    done.result()
    if cancelled is not None:
        raise cancelled
