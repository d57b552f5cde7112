"""``permille trial UID``: all of a trial."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from permille.store import Store
from tests.callable_study import write_study
from tests.conftest import Permille
from tests.powercap import Driver
from tests.records import trial

pytestmark = pytest.mark.measuring

MODELS = """
import sys

def good(text):
    return text

def bad(text):
    print("\\x1b[31mits last words", file=sys.stderr)
    raise LookupError("no such word")
"""


@pytest.fixture
def uids(permille: Permille, powercap: Driver, tmp_path: Path) -> dict[str, str]:
    write_study(tmp_path, "good", "bad", source=MODELS, texts=("a", "b"))
    out = permille("run", "study.toml", "--json-lines", code=1).out
    return {line["model"]: line["trial"] for line in map(json.loads, out.splitlines())}


def test_all_of_a_trial_is_shown(permille: Permille, uids: dict[str, str]) -> None:
    shown = permille("trial", uids["good"]).out
    for part in ("models:good", "span query", "phase query", "cpu:0", "measured by rapl",
                 "latency", "accuracy", "environment", "inferences"):  # fmt: skip
        assert part in shown, part
    found = permille("trial", uids["good"], "--json").json
    assert found["schema"] == 1
    assert found["trial"]["uid"] == uids["good"]
    assert found["trial"]["cell"]["settings"]["callable"] == "models:good"
    assert [span["name"] for span in found["spans"]] == ["idle", "load", "query"]
    assert found["recording"]["series"][0]["domain"]["name"] == "cpu:0"
    assert found["recording"]["series"][0]["readings"] > 1
    assert found["recording"]["marks"] >= 4
    assert found["durations"] >= 2


def test_of_a_failed_trial_the_last_lines_are_shown(
    permille: Permille, uids: dict[str, str]
) -> None:
    shown = permille("trial", uids["bad"]).out
    assert "no such word (models.py:9, in bad)" in shown
    assert "its last words" in shown
    assert "\x1b" not in shown
    assert any(
        "its last words" in line
        for line in permille("trial", uids["bad"], "--json").json["trial"]["last_lines"]
    )


def test_a_prefix_is_enough_where_it_is_the_only_one(permille: Permille, tmp_path: Path) -> None:
    with Store(tmp_path / "permille.db") as store:
        for uid in ("abc1", "abc2", "b", "b_x"):
            store.add(trial(uid=uid))
    assert permille("trial", "abc1", "--json").json["trial"]["uid"] == "abc1"
    assert permille("trial", "b", "--json").json["trial"]["uid"] == "b"  # the whole of one
    assert permille("trial", "b_", "--json").json["trial"]["uid"] == "b_x"
    assert "abc1, abc2" in permille("trial", "abc", code=2).err
    for none in ("x", "%", "a_c1"):
        assert "no trial in permille.db" in permille("trial", none, code=2).err


def test_a_trial_without_a_recording_is_shown_too(permille: Permille, tmp_path: Path) -> None:
    with Store(tmp_path / "permille.db") as store:
        store.add(trial(uid="imported"))
    assert "trial imported: done" in permille("trial", "imp").out
    found = permille("trial", "imp", "--json").json
    assert found["recording"] is None
    assert found["spans"] == []
