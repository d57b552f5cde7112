"""A recording within asyncio."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import permille
from permille.api.awaiting import in_thread
from permille.errors import RecorderError, UsageError
from permille.recorder.client import Recorder
from tests.conftest import POWER_W, holds
from tests.powercap import Driver


@pytest.mark.measuring
def test_tasks_have_spans_and_the_loop_goes_on_while_the_recorder_starts(machine: Driver) -> None:
    turns: list[int] = []

    async def request(rec: permille.Session) -> None:
        with rec.span("request", inferences=1):
            await asyncio.sleep(0.3)

    async def tick() -> None:
        while True:
            turns.append(len(turns))
            await asyncio.sleep(0)

    async def serve() -> permille.Session:
        ticking = asyncio.create_task(tick())
        async with permille.record() as rec:
            ticking.cancel()
            await asyncio.gather(*(request(rec) for _ in range(3)))
        assert len(turns) > 100  # one, if the loop had stood still
        return rec

    rec = asyncio.run(serve())
    result = rec["request"]
    assert (result.spans, result.inferences) == (3, 3)
    (together,) = rec.measured("request")
    assert result.energy is not None, together
    assert holds(result.energy, POWER_W * together.phase.seconds / 3)


@pytest.mark.measuring
def test_the_loop_stands_still_while_the_idle_power_is_measured(machine: Driver) -> None:
    turns_ns: list[int] = []

    async def tick() -> None:
        while True:
            turns_ns.append(time.monotonic_ns())
            await asyncio.sleep(0)

    async def serve() -> permille.Session:
        ticking = asyncio.create_task(tick())
        async with permille.record(idle=0.3) as rec:
            with rec.span("query"):
                await asyncio.sleep(0.3)
        ticking.cancel()
        return rec

    rec = asyncio.run(serve())
    assert rec["query"].net is not None
    idle = rec._idle
    assert idle is not None
    assert not [t for t in turns_ns if idle.t0_ns <= t <= idle.t1_ns]


@pytest.mark.measuring
def test_an_exception_and_a_cancellation_end_the_recording(machine: Driver) -> None:
    recordings: list[permille.Session] = []

    async def work(began: asyncio.Event) -> None:
        async with permille.record() as rec:
            recordings.append(rec)
            with rec.span("query"):
                await asyncio.sleep(0.5)
                began.set()
                await asyncio.sleep(3600)

    async def serve() -> None:
        began = asyncio.Event()
        working = asyncio.create_task(work(began))
        await began.wait()
        working.cancel()
        await asyncio.wait([working])
        assert working.cancelled()

    asyncio.run(serve())
    result = recordings[0]["query"]
    assert result.reason == "1 of 1 spans ended with CancelledError"
    assert result.energy is not None
    with permille.record():  # the lock is free
        pass


@pytest.mark.measuring
def test_a_cancellation_while_the_recorder_starts_leaves_nothing_behind(machine: Driver) -> None:
    async def serve() -> None:
        async def work() -> None:
            async with permille.record():
                raise AssertionError("it was cancelled before")

        working = asyncio.create_task(work())
        await asyncio.sleep(0)  # its thread has begun to start the recorder
        working.cancel()
        await asyncio.wait([working])
        assert working.cancelled()

    asyncio.run(serve())
    with permille.record():  # the lock is free
        pass


def test_work_in_a_thread_is_done_to_its_end_and_its_error_is_passed_on() -> None:
    may_end, ended = threading.Event(), []

    def slow() -> None:
        may_end.wait(60)
        ended.append(True)

    async def cancelled_twice() -> None:
        task = asyncio.create_task(in_thread(slow))
        for _ in range(2):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == [True]

    def fail() -> None:
        raise UsageError("no")

    asyncio.run(cancelled_twice())
    with pytest.raises(UsageError, match="no"):
        asyncio.run(in_thread(fail))


@pytest.fixture
def no_recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Recorder, **settings: object) -> None:
        raise RecorderError("another permille is measuring")

    monkeypatch.setattr(Recorder, "__init__", refuse)


@pytest.mark.usefixtures("no_recorder")
def test_an_error_of_the_recorder_is_raised_on_entering() -> None:
    async def enter(rec: permille.Session) -> None:
        async with rec:
            pass

    rec = permille.record()
    with pytest.raises(RecorderError, match="another permille"):
        asyncio.run(enter(rec))
    with pytest.raises(UsageError, match="a recording is used once"):
        asyncio.run(enter(rec))
