"""How a worker ends, once it has sent its result."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import atexit, threading
from permille.leaving import leave

done = threading.Event()
threading.Thread(target=lambda: (done.wait(), print("thread"))).start()
atexit.register(print, "exit function")
threading._register_atexit(done.set)
print("begun")
leave(3)
"""


def test_threads_are_waited_for_exit_functions_run_and_what_was_printed_is_there() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert ended.stdout == "begun\nthread\nexit function\n"
    assert ended.stderr == ""
    assert ended.returncode == 3
