"""CPU seconds to import each tool and to print its help, interleaved."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from environments import python_of

COMMANDS: dict[tuple[str, str], list[str]] = {
    ("python", "nothing"): ["-c", ""],
    ("permille", "import"): ["-c", "import permille"],
    ("permille", "import and record"): ["-c", "import permille; permille.record"],
    ("permille", "--help"): ["-m", "permille", "--help"],
    ("codecarbon", "import"): ["-c", "import codecarbon"],
    ("codecarbon", "--help"): ["-c", "import sys; sys.argv[1:] = ['--help'];"
                               "from codecarbon.cli.main import codecarbon; codecarbon()"],
    ("zeus", "import"): ["-c", "import zeus.monitor"],
}  # fmt: skip
"""zeus has no command of its own name."""


def measure(quick: bool, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Medians over repeats, after one that warms the files."""
    say("start")
    found: dict[tuple[str, str], list[float]] = {key: [] for key in COMMANDS}
    for repeat in range(3 if quick else 8):
        for key, arguments in COMMANDS.items():
            seconds = _cpu_s([str(python_of(key[0])), *arguments])
            if repeat:
                found[key].append(seconds)
    return [
        {"tool": tool, "what": what, "cpu_s": statistics.median(times)}
        for (tool, what), times in found.items()
    ]


def _cpu_s(command: list[str]) -> float:
    before = _children_s()
    with tempfile.TemporaryDirectory() as folder:
        # Help is folded to the terminal's width: one for all tools.
        environment = os.environ | {"COLUMNS": "100"}
        # In an empty folder: with -c and -m, Python looks for modules there first.
        subprocess.run(command, check=True, capture_output=True, cwd=Path(folder), env=environment)
    return _children_s() - before


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
