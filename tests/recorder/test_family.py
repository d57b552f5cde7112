"""The workload's processes, as the kernel or psutil lists them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from permille.recorder.descendants import (
    children_by_psutil,
    descendants,
    listed_children,
    with_children,
)


def test_descendants_are_found_once_each_even_in_a_circle() -> None:
    asked = []

    def children(pid: int) -> list[int]:
        asked.append(pid)
        return {1: [2, 3], 3: [4], 4: [1]}.get(pid, [])

    assert descendants([1, 9], children) == {1, 2, 3, 4, 9}
    assert sorted(asked) == [1, 2, 3, 4, 9]


def test_a_child_of_a_child_is_the_workloads() -> None:
    program = "import subprocess, sys; subprocess.run(['sleep', '60'])"
    with subprocess.Popen([sys.executable, "-c", program]) as child:
        try:
            while not children_by_psutil(child.pid):
                assert child.poll() is None
            (grandchild,) = children_by_psutil(child.pid)
            assert {os.getpid(), child.pid, grandchild} <= with_children([os.getpid()])
        finally:
            for pid in children_by_psutil(child.pid):
                os.kill(pid, 9)
            child.wait()
    assert children_by_psutil(child.pid) == []


def test_the_kernels_lists_are_read_by_thread(tmp_path: Path) -> None:
    for thread, text in (("7", "8 9 "), ("71", "10 "), ("72", "")):
        folder = tmp_path / "7" / "task" / thread
        folder.mkdir(parents=True)
        (folder / "children").write_text(text)
    assert sorted(listed_children(7, str(tmp_path))) == [8, 9, 10]
    assert listed_children(8, str(tmp_path)) == []
