"""Run and supervise one worker process: its messages, output, time limit and end."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from permille.errors import TrialError
from permille.processes import VARIABLE, end_marked, signal_name
from permille.study.worker.failing import OURS
from permille.study.worker.messages import Failure, Inbox, Job, Message
from permille.units import counted

TAIL_BYTES = 8192
"""The most bytes of a worker's output in memory."""
LINES, LINE_LIMIT = 50, 500
"""The number of lines of output, and characters in each, stored with a failed trial."""
GRACE_S = 1.0
"""Seconds between TERM and KILL."""
WAIT_S = 0.5
"""The longest wait for a worker's next message before the time limit is checked."""
STOPPED_S = 1.0
"""If a wait takes this much longer, this process was suspended or not scheduled."""


def run(
    job: Job,
    mark: int,
    hear: Callable[[Message], None],
    *,
    started: Callable[[int], None],
    timeout_s: float,
    token: str,
    environment: Mapping[str, str],
) -> None:
    """Run one worker to its end. ``mark`` is its channel to the recorder, which is closed here.
    ``token`` identifies it and all of its children, none of which is left running.

    Raises:
        TrialError: it failed; with the reason and the last lines that it printed.
    """
    words_out, words_in = os.pipe()
    try:
        process = _start(job, words_in, mark, {**environment, VARIABLE: token})
    finally:
        # Only the worker may hold the writing end, or the end of its messages would never show.
        os.close(words_in)
        os.close(mark)
    tail = bytearray()
    left: dict[int, str] = {}
    searched = False
    failures: list[Failure] = []

    def receive(message: Message) -> None:
        # Not passed on: a model may still fail to close after its result, and nothing else may
        # follow that.
        if isinstance(message, Failure):
            failures.append(message)
        else:
            hear(message)

    try:
        started(process.pid)
        ended = _listen(process, words_out, receive, _TimeLeft(timeout_s), tail)
        if ended and process.returncode == 0:
            left, searched = end_marked(token, grace_s=GRACE_S), True
    except ValueError as error:
        raise TrialError(f"the worker sent a malformed message: {error}", lines(tail)) from error
    finally:
        end_group(process)
        if not searched:  # searching reads the environment of every process on the machine
            end_marked(token)
        os.close(words_out)
        if process.stdout is not None:
            process.stdout.close()
    if not ended:
        raise TrialError(f"timed out after {timeout_s:g} s and was stopped", lines(tail))
    _require_success(process.returncode, failures, left, lines(tail))


def _start(
    job: Job, words: int, mark: int, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a worker in a new session; it reads its job on stdin."""
    # In a file: a pipe holds 64 KiB (pipe(7)), less than many datasets, and writing the rest would
    # wait for a worker that may never read.
    with tempfile.TemporaryFile() as task:
        task.write(msgspec.msgpack.encode(job))
        task.seek(0)
        return subprocess.Popen(
            [
                # -P: or a file in the current folder, such as random.py, would hide the library's
                # module of that name: https://docs.python.org/3/using/cmdline.html#cmdoption-P
                *(sys.executable, "-P", "-m", "permille.study.worker.main"),
                *(str(words), str(mark), str(os.getpid())),
            ],
            stdin=task,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[words, mark],
            # A group of its own can be killed as a whole, and Ctrl-C at the terminal does not reach
            # it: the runner decides what becomes of the trial.
            start_new_session=True,
            env=environment,
        )


class _TimeLeft:
    """The rest of a worker's time limit. Time during which this process did not run, for example
    because of Ctrl-Z, does not count, because nothing could read the worker's messages."""

    def __init__(self, seconds: float) -> None:
        self._left_s = seconds
        self._looked_s = time.monotonic()

    def look(self) -> float:
        """Seconds left; to be called again after at most WAIT_S."""
        now_s = time.monotonic()
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        self._left_s -= passed_s if passed_s < WAIT_S + STOPPED_S else WAIT_S
        return self._left_s


def _listen(
    process: subprocess.Popen[bytes],
    words: int,
    hear: Callable[[Message], None],
    time_left: _TimeLeft,
    tail: bytearray,
) -> bool:
    """Read the worker's messages to the end, and its last output into ``tail``; returns False if
    its time ran out.

    Raises:
        ValueError: its channel contains invalid data.
    """
    inbox = Inbox()
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(words, selectors.EVENT_READ)
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.get_map():
            left_s = time_left.look()
            if left_s <= 0:
                return False
            for key, _ in selector.select(min(left_s, WAIT_S)):
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fd == words:
                    for message in inbox.feed(data):
                        hear(message)
                else:
                    tail += data
                    del tail[:-TAIL_BYTES]
            # In this order: whatever the worker wrote before it ended is in the pipes by then.
            if process.poll() is not None and not _ready(selector):
                break  # a child that it left running may keep the pipes open: do not wait for it
    while process.poll() is None:
        left_s = time_left.look()
        if left_s <= 0:
            return False
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=min(left_s, WAIT_S))
    return True


def _require_success(
    code: int, failures: Sequence[Failure], left: Mapping[int, str], last: tuple[str, ...]
) -> None:
    """Check the end of a worker; ``left`` are the processes that it left running.

    Raises:
        TrialError: it failed, or left some.
    """
    if code != 0:
        raise TrialError(
            _reason(code, failures, last),
            last,
            by_signal=code < 0,
            kind=failures[0].kind if failures else "other",
        )
    if left:
        names = ", ".join(sorted(set(left.values())))[:200]
        raise TrialError(
            f"the worker left {counted(len(left), 'process', 'processes')} running ({names}), now"
            " killed: its work may not have ended with it",
            last,
        )


def lines(tail: bytes | bytearray) -> tuple[str, ...]:
    """The last lines of the output, limited in number and length."""
    text = tail.decode("utf-8", "replace")
    kept = [line.strip()[:LINE_LIMIT] for line in text.splitlines() if line.strip()]
    return tuple(kept[-LINES:])


def _ready(selector: selectors.BaseSelector) -> bool:
    return bool(selector.get_map()) and bool(selector.select(0))


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Stop the process and its group with TERM and, after a moment, KILL."""
    for sign, wait_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, sign)
        # macOS: EPERM for a group in which only zombies are left
        # (https://github.com/airspeed-velocity/asv/pull/304).
        except (ProcessLookupError, PermissionError):
            break  # the group has ended
        try:
            process.wait(timeout=wait_s)
        except subprocess.TimeoutExpired:
            continue
        # Only the leader has ended: a child that ignores TERM is killed in the next round.
        if not _group_alive(process.pid):
            break
    process.wait()


def _group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _reason(code: int, failures: Sequence[Failure], last: Sequence[str]) -> str:
    """The exception that the worker reported or, only without one, the last line that it printed,
    which may be an unrelated warning."""
    known = [
        *(failure.text for failure in failures[:1]),
        *(line.removeprefix(OURS) for line in last[-1:]),
    ]
    cause = f": {known[0]}" if known else ""
    if code < 0:
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"the worker was killed by {signal_name(-code)}{hint}{cause}"
    return f"the worker failed (exit {code}){cause}"
