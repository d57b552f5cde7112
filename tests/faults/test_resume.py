"""The same command goes on where it was; another machine, a fresh start and failures are said."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from permille.records.machine import Environment
from permille.records.trial import Trial
from permille.store import Store
from tests.conftest import Permille
from tests.faults.conftest import MakeStudy, kept
from tests.powercap import Driver

pytestmark = pytest.mark.measuring


def _as_if_elsewhere(folder: Path) -> None:
    """Rewrite the store's trials as another machine's."""
    moved = []
    for one in kept(folder):
        facts = {**one.environment.facts, "cpu": "Another CPU"}
        moved.append(
            msgspec.structs.replace(
                one, environment=Environment(fingerprint="elsewhere", facts=facts)
            )
        )
    (folder / "permille.db").unlink()
    with Store(folder / "permille.db") as store:
        store.add_many((trial, None) for trial in moved)


def test_edited_code_is_measured_anew_and_the_run_says_why(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    source = "import words\ngood = lambda text: words.OF['good' in text]\n"
    path = str(make_study("good", source=source))
    (tmp_path / "words.py").write_text('OF = ["bad", "good"]\n')
    first = permille("run", path, "--json").json["rows"]
    assert [row["quality"]["value"] for row in first] == [1.0]
    (tmp_path / "words.py").write_text('OF = ["good", "bad"]\n')
    again = permille("run", path)
    assert (
        "good (text-classification / rows.jsonl) is measured again: words.py changed" in again.err
    )
    assert len(kept(tmp_path)) == 2
    assert kept(tmp_path)[-1].quality.value == 0.0  # type: ignore[union-attr]
    third = permille("run", path)
    assert "measured again" not in third.err
    assert "1 trial was already finished" in third.out


SERVED = """
[[models]]
id = "served"
backend = "endpoint"
category = "general-purpose"
prompt = "{text}"
url = "http://127.0.0.1:9/v1"
serve = "touch ran"
"""


def test_a_study_file_in_anothers_hand_runs_no_command_unless_the_user_says_so(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    path = make_study("good")
    path.write_text(path.read_text() + SERVED)
    found = permille("study", "check", str(path), "--json").json["executes"]
    assert found == [
        {"model": "good", "kind": "callable", "what": "models:good"},
        {"model": "served", "kind": "command", "what": "touch ran"},
    ]
    assert "it runs a command: touch ran" in permille("study", "check", str(path)).out
    path.chmod(0o666)
    refused = permille("run", str(path), code=2)
    assert refused.err.count("\n") == 1
    assert "touch ran" in refused.err
    assert "--allow-commands" in refused.err
    assert not (tmp_path / "ran").exists()
    permille("run", str(path), "--allow-commands", code=1)
    assert (tmp_path / "ran").exists()


def test_another_machine_is_not_pooled_unless_asked(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    path = str(make_study("good", repeats=2))
    permille("run", path)
    _as_if_elsewhere(tmp_path)
    again = permille("run", path, "--pool")
    assert "included because of --pool" in again.err
    assert "cpu Another CPU →" in again.err
    assert len(kept(tmp_path)) == 2  # the other machine's trials are the study's
    anew = permille("run", path)
    assert "--pool counts them together" in anew.err
    assert "2 finished trials" in anew.err
    assert "machine" in anew.out
    rows = permille("results", "--json").json["rows"]
    assert [row["trials"]["done"] for row in rows] == [2, 2]
    assert len({row["fingerprint"] for row in rows}) == 2
    (row,) = permille("results", "--json", "--pool").json["rows"]
    assert row["trials"]["done"] == 4
    assert any("pooled over 2 machines" in note for note in row["notes"])


def test_fresh_starts_over_and_deletes_nothing(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    path = str(make_study("good", "good2", repeats=2))
    permille("run", path)
    old = kept(tmp_path)
    assert permille("run", path, "--json-lines").out == ""
    said = permille("run", path, "--fresh", "--repeats", "1", "--json-lines").out
    assert len(said.splitlines()) == 2
    assert [r["trials"]["done"] for r in permille("results", "--json").json["rows"]] == [1, 1]
    # Without --fresh the new round goes on; the old one stays in the store.
    assert len(permille("run", path, "--json-lines").out.splitlines()) == 2
    now = kept(tmp_path)
    assert now[:4] == old
    assert [trial.round for trial in now] == [0] * 4 + [1] * 4


def test_a_study_of_another_name_has_trials_of_its_own(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    permille("run", str(make_study("good")))
    permille("run", str(make_study("good", name="second", file="second.toml")))
    assert [trial.study for trial in kept(tmp_path)] == ["tiny", "second"]


def test_a_changed_study_runs_what_changed(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    permille("run", str(make_study("good")))
    permille("run", str(make_study("good", "good2")))
    assert [trial.cell.model for trial in kept(tmp_path)] == ["good", "good2"]
    permille("run", str(make_study("good", "good2")), "--inferences", "3")
    assert [trial.protocol.inferences for trial in kept(tmp_path)] == [2, 2, 3, 3]


FLAKY = """
import os
def flaky(text):
    folder = os.path.dirname(__file__)
    if not os.path.exists(folder + "/well"):
        raise RuntimeError("not well yet")
    return good(text)
"""


def test_a_failure_is_kept_retried_and_never_in_a_mean(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    path = str(make_study("flaky", source=FLAKY))
    permille("run", path, code=1)
    permille("run", path, code=1)
    (tmp_path / "well").touch()
    permille("run", path)
    (row,) = permille("results", "--json").json["rows"]
    assert row["trials"] == {"done": 1, "failed": 2, "invalid": 0}
    assert "not well yet" in row["reasons"][0]
    only: list[Trial] = [trial for trial in kept(tmp_path) if trial.status == "done"]
    domains = only[0].phases["query"].domains
    per_1000_j = domains["cpu:0"].energy_j * 1000 / (only[0].phases["query"].inferences or 1)
    assert abs(row["kwh_per_1000"]["value"] * 3.6e6 / per_1000_j - 1) < 1e-9


def test_what_failed_three_times_is_given_up_and_said(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    path = str(make_study("flaky", source=FLAKY))
    for _ in range(3):
        permille("run", path, code=1)
    (tmp_path / "well").touch()
    last = permille("run", path, code=1)
    assert "failed three times" in last.out
    assert sqlite3.connect(tmp_path / "permille.db").execute(
        "SELECT status, count(*) FROM trial GROUP BY status"
    ).fetchall() == [("failed", 3)]  # fmt: skip
    permille("run", path, "--fresh")
