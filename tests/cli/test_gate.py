"""``permille gate`` on real runs at a known power: energy is time. One version takes so much longer
than the other that no delay of a busy machine makes up for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from permille.store import Store
from permille.store.cloud.bucket import Bucket
from permille.store.cloud.mirror import push
from tests.callable_study import write_study
from tests.conftest import Permille
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

SHORT, LONG = ("sleep", "0.2"), ("sleep", "3")


def test_a_version_that_needs_more_fails(permille: Permille, powercap: Driver) -> None:
    arguments = ("gate", "--rounds", "3", "--warmup", "0")
    found = permille(*arguments, "--json", "--", *SHORT, "---", *LONG, code=4).json
    assert (found["verdict"], found["blocks"], found["max_increase"]) == ("fail", 3, 0.05)
    assert 1.05 < found["ratio"]["low"] < found["ratio"]["value"] < found["ratio"]["high"]
    assert (found["base"], found["head"]) == ("sleep 0.2", "sleep 3")
    assert found["provenance"] == "measured"


def test_a_version_that_needs_less_passes(permille: Permille, powercap: Driver) -> None:
    arguments = ("gate", "--rounds", "3", "--warmup", "0")
    finished = permille(*arguments, "--", *LONG, "---", *SHORT)
    assert finished.out.startswith("passes: sleep 0.2 needs ")


def test_a_single_round_cannot_tell_which_is_no_pass(permille: Permille, powercap: Driver) -> None:
    arguments = ("gate", "--rounds", "1", "--json", "--", "sleep", "0.4", "---", "sleep", "0.4")
    found = permille(*arguments, code=5).json
    shown = permille(*(word for word in arguments if word != "--json"), code=5).out
    assert "a single round has no interval: use more (--rounds)" in shown
    assert found["verdict"] == "cannot-tell"
    assert found["ratio"]["low"] is None


def test_it_goes_on_until_it_is_told(permille: Permille, powercap: Driver) -> None:
    found = permille(
        "gate", "--rounds", "1", "--warmup", "0", "--until-told", "--at-most", "1h", "--json",
        "--", "sleep", "0.2", "---", "sleep", "1", code=4,
    ).json  # fmt: skip
    assert found["blocks"] > 1
    assert found["blocks"].bit_count() == 1  # each look is at twice as many
    assert found["confidence"] > 0.95


def test_no_round_begins_once_its_time_is_over(permille: Permille, powercap: Driver) -> None:
    """Each round takes a second at least, so that there is time for three. The next look would be
    at four. Whatever the verdict is: by chance, two looks may tell equal commands apart."""
    found = permille(
        "gate", "--rounds", "2", "--warmup", "0", "--max-increase", "0", "--until-told",
        "--at-most", "3s", "--json", "--", "sleep", "0.5", "---", "sleep", "0.5", code=None,
    ).json  # fmt: skip
    assert 1 <= found["blocks"] <= 3


def test_no_time_for_more_is_not_the_default_time(permille: Permille, powercap: Driver) -> None:
    found = permille(
        "gate", "--rounds", "1", "--warmup", "0", "--until-told", "--at-most", "0s", "--json",
        "--", "sleep", "0.3", "---", "sleep", "3", code=5,
    ).json  # fmt: skip
    assert found["blocks"] == 1


def test_a_version_that_fails_to_run_is_no_verdict(permille: Permille, powercap: Driver) -> None:
    commands = ("--", "sleep", "0.3", "---", "sh", "-c", "exit 3")
    finished = permille("gate", "--rounds", "2", "--json", *commands, code=1)
    assert finished.json["verdict"] == "cannot-tell"
    assert "exited with 3" in finished.json["reason"]


def test_a_measurement_that_is_required_is_not_replaced_by_an_estimate(
    permille: Permille, powercap: Driver
) -> None:
    """The package is measured, the memory beside it is estimated."""
    finished = permille(
        "gate", "--rounds", "1", "--require", "measured", "--", "sleep", "2", "---", "sleep", "2",
        code=3, PERMILLE_METERS="rapl,estimate",
    )  # fmt: skip
    assert "a measurement is required" in finished.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--", "true"], "a gate compares two commands"),
        ([], "a gate compares two commands"),
        (["--max-increase", "lots", "--", "true", "---", "true"], "is not a share"),
        (["--max-increase", "5", "--", "true", "---", "true"], "'5': write 5% or a share below 1"),
        (["--at-most", "soon", "--", "true", "---", "true"], "is no time such as"),
        (["--at-most", "9s", "--", "true", "---", "true"], "--at-most goes with --until-told"),
        (["--", "true", "---", "no-such-program"], "cannot run 'no-such-program'"),
        (["--", "true", "---", "./missing"], "cannot run './missing'"),
        (["--export-markdown", "no/x.md", "--", "true", "---", "true"], "there is no folder no"),
        (["true"], "a command goes after --"),
        (["study.toml", "--against", "base.db", "--", "true"], "takes a study and no command"),
        (["study.toml", "--against", "base.db", "--rounds", "3"], "--rounds: for commands only"),
        (["study.toml", "--against", "base.db"], "study.toml"),
        (["study.toml", "--against", "ftp://b/x"], "--against: ftp:// is not one of s3://, gs://"),
        (["--store=a.db", "--", "true", "---", "true"], "--store: for a study only"),
        (["study.toml", "--against", "base.db", "--at-most=9s", "--shared"], "--at-most, --shared"),
    ],
)
def test_wrong_usage_is_one_line(
    permille: Permille, powercap: Driver, tmp_path: Path, arguments: list[str], words: str
) -> None:
    if any("ftp://" in word for word in arguments):
        write_study(tmp_path, "nap", source=NAP)
    finished = permille("gate", *arguments, code=2)
    assert words in finished.err
    assert len(finished.err.strip().splitlines()) == 1


NAP = """
import time

def nap(text):
    time.sleep(SECONDS)
    return "good"
"""


def test_a_study_against_a_stored_baseline(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    """The same study before and after a change that takes much more time, at a known power."""
    write_study(tmp_path, "nap", source=NAP.replace("SECONDS", "0.02"), inferences=4, repeats=3)
    permille("run", "study.toml", "--store", "base.db")
    gate = ("gate", "study.toml", "--against", "base.db")
    # A store that holds the same trials is no second measurement.
    finished = permille(*gate, "--store", "base.db", code=1)
    assert "the baseline holds the same trials" in finished.out

    (tmp_path / "models.py").write_text(NAP.replace("SECONDS", "0.8"))
    finished = permille(*gate, "--store", "base.db", code=2)
    assert "has no trials of 1 cell of study.toml as it is now" in finished.err

    permille("run", "study.toml", "--store", "head.db")
    output = permille(*gate, "--store", "head.db", "--json", code=4).json
    (one,) = output["cells"]
    assert (output["verdict"], one["verdict"], one["same_session"]) == ("fail", "fail", True)
    assert 1.05 < one["ratio"]["low"] < one["ratio"]["value"] < one["ratio"]["high"]
    assert (
        "fails: nap, text-classification on rows.jsonl: "
        in permille(*gate, "--store", "head.db", code=4).out
    )

    # The same baseline from object storage.
    url = f"file://{tmp_path}/bucket"
    with Store(tmp_path / "base.db") as store:
        push(store, Bucket(url, creates=True))
    stored = ("gate", "study.toml", "--against", url, "--store", "head.db", "--json")
    assert permille(*stored, code=4).json == output
