"""Tables on terminals of any width: numbers and ids are whole, and in a pipe everything is."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from permille.records.answers import Quality
from permille.store import Store
from tests.conftest import PATIENCE_S, Permille
from tests.records import trial

pytestmark = pytest.mark.slow

IDS = ("organisation/a-model-with-quite-a-long-name-7b-instruct", "organisation/another-13b")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "permille.db"
    with Store(path) as opened:
        for number, model in enumerate(IDS):
            for repeat in range(3):
                score = Quality(metric="accuracy", value=0.8 + number / 10, n=100)
                energy_j = 36.0 + 7 * number + repeat
                opened.add(trial(energy_j, model=model, repeat=repeat, quality=score))
    return path


def on_terminal(environment: dict[str, str], folder: Path, width: int, *arguments: str) -> str:
    """What a command shows on a terminal so wide, without its colours."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "permille", *arguments],
        env={**environment, "COLUMNS": str(width), "TERM": "xterm"}, cwd=folder,
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:
            break  # the other side has been closed
        if not data:
            break
        shown += data
    os.close(ours)
    assert process.wait(timeout=PATIENCE_S) == 0, shown
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown.decode()).replace("\r", "")


def numbers(text: str) -> set[str]:
    """The intervals in it."""
    return set(re.findall(r"[\d.,]+ \w+ \[[^\]…]+\]", text))


@pytest.mark.parametrize("width", [40, 72, 109, 110, 140])
def test_numbers_and_ids_are_whole_at_any_width(
    permille: Permille, environment: dict[str, str], store: Path, tmp_path: Path, width: int
) -> None:
    piped = permille("results").out
    table = piped.split("boundary:")[0]
    shown = on_terminal(environment, tmp_path, width, "results").split("boundary:")[0]
    assert "…" not in shown
    assert len(numbers(table)) == 4
    for number in numbers(table):
        assert number in shown
    # An id may be folded over lines, and loses no character by it.
    joined = re.sub(r"\s+", "", shown)
    if width in (40, 140):  # a block a row, or all of the table
        for name in IDS:
            assert name in joined


def test_what_is_the_same_in_every_row_goes_below_a_narrow_table(
    environment: dict[str, str], store: Path, tmp_path: Path
) -> None:
    narrow = on_terminal(environment, tmp_path, 100, "results")
    (line,) = [line for line in narrow.splitlines() if line.startswith("in every row: ")]
    assert "trials 3 done" in line
    assert "in every row" not in on_terminal(environment, tmp_path, 140, "results")


@pytest.mark.parametrize(
    "arguments", [["presets"], ["parity"], ["reproduce"], ["audit"], ["meters"]]
)
def test_every_table_fits_a_narrow_terminal(
    environment: dict[str, str], tmp_path: Path, arguments: list[str]
) -> None:
    shown = on_terminal(environment | {"PERMILLE_METERS": "estimate"}, tmp_path, 70, *arguments)
    assert "…" not in shown.replace("…)", "")


def test_a_pipe_is_never_shortened(permille: Permille, tmp_path: Path) -> None:
    long = "organisation/" + "x" * 150
    with Store(tmp_path / "permille.db") as opened:
        opened.add(trial(36.0, model=long))
    assert long in permille("results", COLUMNS="40").out
