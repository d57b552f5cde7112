"""``--store`` with a URL: a run, a lost machine, and the commands that read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Permille
from tests.powercap import Driver
from tests.study.conftest import study

__all__ = ["study"]


@pytest.mark.measuring
def test_a_run_on_another_machine_goes_on_from_the_objects(
    tmp_path: Path, permille: Permille, powercap: Driver, study: Callable[..., Path]
) -> None:
    url = f"file://{tmp_path}/bucket"
    file = str(study("quick", "slow", repeats=2))
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    first_run = permille("run", file, "--store", url, "--repeats", "1", PERMILLE_CACHE=here)
    assert f"next: permille compare slow quick --store {url}" in first_run.out
    objects = tmp_path / "bucket" / "trials"
    first = {one.name: one.read_bytes() for one in objects.iterdir()}
    assert len(first) == 2

    # The machine is lost, with its local file; an equal one makes only what is missing.
    shutil.rmtree(tmp_path / "here")
    lines = permille(
        "run", file, "--store", url, "--json-lines", PERMILLE_CACHE=there
    ).out.splitlines()
    made = {json.loads(line)["trial"] for line in lines}
    assert len(made) == 2
    assert {one.name for one in objects.iterdir()} == first.keys() | made
    assert all((objects / name).read_bytes() == body for name, body in first.items())

    rows = permille("results", "--store", url, "--json", PERMILLE_CACHE=here).json["rows"]
    assert [row["trials"]["done"] for row in rows] == [2, 2]
    assert (
        permille("results", "--json", PERMILLE_STORE=url, PERMILLE_CACHE=here).json["rows"] == rows
    )
    ratios = permille(
        "compare", "quick", "slow", "--store", url, "--json", PERMILLE_CACHE=here
    ).json
    assert ratios["cells"]
    permille("export", "csv", "out.csv", "--store", url, PERMILLE_CACHE=here)
    assert permille("trial", next(iter(made)), "--store", url, "--json", PERMILLE_CACHE=here).json


def test_a_bucket_that_refuses_is_one_line_before_anything_is_measured(
    tmp_path: Path, permille: Permille, study: Callable[..., Path]
) -> None:
    (tmp_path / "bucket").write_text("a file where the folder should be")
    for command in (("run", str(study("quick"))), ("results",)):
        finished = permille(*command, "--store", f"file://{tmp_path}/bucket", code=2)
        assert finished.err.startswith("permille: cannot ")
        assert len(finished.err.splitlines()) == 1
        assert "Traceback" not in finished.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("results", "--store", "ftp://host/x"), "ftp:// is not one of s3://, gs://"),
        (("results", "--store", "s3://key:secret@b/x"), "credentials come from the environment"),
        (("store", "check", "--store", "file:///tmp/x"), "works on files"),
        (("import", "codecarbon", "x.csv", "--store", "file:///tmp/x"), "works on files"),
        (("results", "--store", "a.db", "--store", "b.db"), "given more than once"),
    ],
)
def test_what_cannot_be_a_store_is_said(permille: Permille, words: tuple[str], said: str) -> None:
    finished = permille(*words, code=2)
    assert said in finished.err
    assert "secret" not in finished.err


def test_a_folder_that_is_not_there_is_no_store(tmp_path: Path, permille: Permille) -> None:
    finished = permille("results", "--store", f"file://{tmp_path}/none", code=2)
    assert (
        finished.err == f"permille: there is no store at file://{tmp_path}/none: no such folder\n"
    )
