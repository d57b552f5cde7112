"""A worker's end of the channel: late answers at a span's start, and a recorder that is gone."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from permille.errors import RecorderError
from permille.recorder import wire
from permille.recorder.marker import Marker

HOUR_NS = 3600 * 1_000_000_000


@pytest.mark.parametrize(
    ("late", "asked"), [((), 1), ((True,), 2), ((True,) * 9, 10), ((True,) * 10, 10)]
)
def test_a_late_answer_at_a_start_is_asked_for_again(late: tuple[bool, ...], asked: int) -> None:
    ours, theirs = socket.socketpair()
    seen: list[bytes] = []

    def answer() -> None:
        # A stamp of the future is early however busy this machine is.
        while request := ours.recv(1):
            is_late = len(seen) < len(late)
            seen.append(request)
            stamp_ns = time.monotonic_ns() + (-HOUR_NS if is_late else HOUR_NS)
            ours.sendall(wire.STAMP.pack(stamp_ns))

    with ours:
        recorder = threading.Thread(target=answer)
        recorder.start()
        marker = Marker(theirs.detach())
        marker.mark_start()
        marker.close()
        recorder.join()
    assert seen == [wire.MARK] * asked


def test_a_recorder_that_is_gone_is_said() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    marker = Marker(theirs.detach())
    with pytest.raises(RecorderError, match="died"):
        marker.mark_start()
    marker.close()
