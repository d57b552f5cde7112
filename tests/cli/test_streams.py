"""What becomes of output that a standard stream does not accept, and of errors that look alike."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from permille.cli import dispatch

FULL = Path("/dev/full")


def version(stdout: int | BinaryIO) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "permille", "--version"]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_output_that_is_not_accepted_is_said() -> None:
    with FULL.open("wb") as full:
        done = version(full)
    assert (done.returncode, done.stderr) == (
        1,
        "permille: cannot write the output: No space left on device\n",
    )


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_an_error_that_cannot_be_said_keeps_its_code() -> None:
    with FULL.open("wb") as full:
        command = [sys.executable, "-m", "permille", "no-such-command"]
        assert subprocess.run(command, stdout=full, stderr=full).returncode == 2


def test_a_reader_that_has_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = version(writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("unbuffered", "first"), [("1", "printed"), ("", "written")])
def test_what_python_is_told_not_to_buffer_is_written_at_once(unbuffered: str, first: str) -> None:
    program = (
        "import os; from permille.cli.streams import open_streams; open_streams();"
        " print('printed'); os.write(1, b'written\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert (done.returncode, done.stdout.split()[0]) == (0, first)


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF])
def test_an_error_of_another_file_is_not_taken_for_the_outputs(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps its traceback, which says where it comes from."""

    def fail(args: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("permille.cli.commands.run._run", fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        dispatch(["run", "study.toml"])
