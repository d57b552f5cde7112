"""Names of models, datasets and files, and what workers print, are hostile: no escape reaches the
terminal, no formula a spreadsheet, no markup a model card."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from permille.exporters.model_card import escaped
from permille.store import Store
from tests.conftest import Permille
from tests.faults.conftest import MakeStudy
from tests.powercap import Driver
from tests.records import cell, trial

pytestmark = pytest.mark.measuring

ESCAPE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202ereversed\u200b"
MARKUP = "[red]markup[/red] <script>alert(1)</script>"
FORMULA = '=HYPERLINK("http://evil","click")'
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A store in which every foreign word is hostile."""
    path = tmp_path / "permille.db"
    with Store(path) as store:
        for i, prefix in enumerate((ESCAPE, FORMULA, MARKUP, "+1", "-2+3", "@SUM(1)", " =1+1")):
            name = f"{prefix}{i}"
            hostile_cell = cell(
                name, id=str(i), dataset=f"{ESCAPE}data", task="text-classification"
            )
            shown: dict[str, Any] = {
                "cell": hostile_cell,
                "study": "evil",
                "device": ESCAPE,
                "notes": (ESCAPE,),
            }
            for repeat in range(2):
                store.add(trial(3.0 + i + repeat, repeat=repeat, uid=f"{i}-{repeat}", **shown))
            failed: dict[str, Any] = {
                "status": "failed",
                "reason": f"{ESCAPE}{MARKUP}",
                "last_lines": (ESCAPE,),
            }
            store.add(trial(1.0, repeat=9, uid=f"{i}-bad", **shown, **failed))
    return path


@pytest.mark.parametrize(
    "command",
    [
        ["results"],
        ["results", "--explain", "--net"],
        ["compare", f"{ESCAPE}0", f"{FORMULA}1"],
        ["compare", ESCAPE, "no such model"],
        ["export", "csv", "-"],
        ["export", "model-card", "-"],
        ["store", "check"],
        ["results", "--store", f"no{ESCAPE}.db"],
        ["results", "--region", ESCAPE],
        ["audit", "--from", "permille.db"],
        ["reproduce", "--from", "permille.db"],
        ["parity", "--from", "permille.db", "--model", f"{ESCAPE}0", "--training-kwh", "5"],
        ["parity", "--model", ESCAPE],
        ["import", "codecarbon", f"no{ESCAPE}.csv"],
        ["import", f"no{ESCAPE}format", "x"],
        ["regions", ESCAPE],
        ["run", f"no{ESCAPE}study"],
        ["study", "check", f"no{ESCAPE}.toml"],
        [f"no{ESCAPE}command"],
    ],
)
def test_no_escape_reaches_the_terminal(
    permille: Permille, hostile: Path, command: list[str]
) -> None:
    done = permille(*command, code=None)
    assert "Traceback" not in done.err
    assert done.out or done.err
    assert not CONTROL.findall(done.out + done.err)


def test_no_markup_is_obeyed(permille: Permille, hostile: Path) -> None:
    assert "[red]markup[/red]" in permille("results").out


def test_a_spreadsheet_finds_no_formula(permille: Permille, hostile: Path, tmp_path: Path) -> None:
    permille("export", "csv", "out.csv")
    text = (tmp_path / "out.csv").read_text(encoding="utf-8")
    header, *rows = csv.reader(io.StringIO(text))
    assert len(rows) == 7
    assert header[:4] == ["study", "task", "dataset", "model"]
    for value in (value for row in rows for value in row):
        assert not value.lstrip().startswith(("=", "+", "-", "@")) or float(value) is not None
    models = [row[3] for row in rows]
    assert f"'{FORMULA}1" in models
    assert "'+14" not in models
    assert "'+13" in models


def test_a_model_card_holds_no_markup(permille: Permille, hostile: Path) -> None:
    card = permille("export", "model-card", "-").out
    assert "<script" not in card
    assert "](http" not in card
    lines = [line for line in card.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 10 for line in lines)
    assert escaped("a|b") == "a\\|b"
    assert escaped("www.evil.com v1.5") == r"www\.evil.com v1.5"


def test_json_holds_every_name_letter_by_letter(permille: Permille, hostile: Path) -> None:
    """JSON is for programs: names in it are whole, and escaped as JSON is."""
    out = permille("results", "--json").out
    models = [row["model"] for row in json.loads(out)["rows"]]
    assert f"{ESCAPE}0" in models
    assert permille("export", "json", "-").out == out
    assert "\x1b" not in out


EVIL = f"""
import sys
def evil(text):
    sys.stderr.write({ESCAPE!r} + "\\n")
    raise RuntimeError({ESCAPE!r} + "\\nsecond line " + {ESCAPE!r})
"""


def test_what_a_worker_prints_does_not_reach_the_terminal(
    permille: Permille, powercap: Driver, make_study: MakeStudy
) -> None:
    path = make_study("evil", source=EVIL)
    text = path.read_text().replace('id = "evil"', 'id = "evil\\u001b[2J"')
    path.write_text(text)
    for command in (["study", "check", str(path)], ["run", str(path), "--dry-run"]):
        done = permille(*command)
        assert not CONTROL.findall(done.out + done.err)
    done = permille("run", str(path), code=1)
    assert "second line" in done.out
    assert not CONTROL.findall(done.out + done.err)


@pytest.mark.parametrize("start", [["node", "key"], ["share", "1/2", "digest", "url"]])
def test_what_ends_a_node_is_one_line_without_escapes(
    environment: dict[str, str], tmp_path: Path, start: list[str]
) -> None:
    program, *words = start
    line = [sys.executable, "-m", f"permille.cli.{program}", *words, "--", f"{ESCAPE}\nx.toml"]
    ended = subprocess.run(
        line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    (shown,) = ended.stderr.splitlines()
    assert shown.startswith("permille: cannot read the study file")
    assert not CONTROL.search(shown)
