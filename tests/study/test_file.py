"""Study files: everything is checked before anything is measured, one line each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from permille.errors import PermilleError, StudyError
from permille.study.plan import file
from permille.study.plan.grid import make
from tests.conftest import Permille

GOOD = """
[study]
name = "inbox"
inferences = 20
repeats = 2

[[models]]
id = "quick"
backend = "python"
category = "task-specific"
callable = "models:quick"

[[tasks]]
task = "text-classification"
datasets = [{ path = "rows.jsonl", text = "text", label = "label" }]
"""

WRONG = {
    "not TOML": ("= 3", "not valid TOML"),
    "no study table": (GOOD.replace("[study]", "[studio]"), "did you mean 'study'?"),
    "unknown key": (GOOD.replace("repeats =", "repeat ="), "did you mean 'repeats'?"),
    "unknown model key": (GOOD.replace("callable =", "callabel ="), "did you mean 'callable'?"),
    "unknown dataset key": (GOOD.replace("label =", "lable ="), "did you mean 'label'?"),
    "wrong type": (
        GOOD.replace("= 20", '= "many"'),
        "inferences: expected a whole number, got text",
    ),
    "wrong type of a backend's key": (
        GOOD.replace("callable =", "labels = 3\ncallable ="),
        r"labels: expected a table, got a whole number",
    ),
    "not positive": (GOOD.replace("= 20", "= 0"), "inferences"),
    "too many": (GOOD.replace("= 20", "= 1000000000000"), "inferences"),
    "all may fail": (GOOD.replace("= 20", "= 20\nmax_failures = 1.0"), "max_failures"),
    "fewer than none": (GOOD.replace("= 20", "= 20\nmax_failures = -1"), "max_failures"),
    "failures in words": (GOOD.replace("= 20", '= 20\nmax_failures = "few"'), "max_failures"),
    "no name": (GOOD.replace('name = "inbox"', ""), "name"),
    "a name of escapes": (GOOD.replace('"inbox"', '"\\u001b[2J"'), "letters, digits"),
    "unknown backend": (GOOD.replace('"python"', '"pyhton"'), "did you mean 'python'?"),
    "unknown category": (
        GOOD.replace("task-specific", "specific"),
        "use 'task-specific' or 'general-purpose'",
    ),
    "unknown task": (
        GOOD.replace('"text-classification"', '"text-clasification"'),
        "did you mean 'text-classification'?",
    ),
    "unknown bundled dataset": (
        GOOD.replace('[{ path = "rows.jsonl", text = "text", label = "label" }]', '["imdbb"]'),
        "imdbb",
    ),
    "missing file": (GOOD.replace("rows.jsonl", "row.jsonl"), "row.jsonl does not exist"),
    "empty id": (GOOD.replace('id = "quick"', 'id = " "'), "the id is empty"),
    "empty path": (GOOD.replace("rows.jsonl", ""), "the path is empty"),
    "a path that is no text": (GOOD.replace('"rows.jsonl"', "false"), "path: expected text"),
    "missing column": (GOOD.replace('text = "text"', 'text = "body"'), "body"),
    "path climbing out": (GOOD.replace("rows.jsonl", "../rows.jsonl"), "outside the study's"),
    "absolute path": (GOOD.replace("rows.jsonl", "/etc/passwd"), "--allow-path"),
    "missing module": (GOOD.replace("models:quick", "modles:quick"), "modles"),
    "not a callable's form": (GOOD.replace("models:quick", "models"), "callable"),
    "the same id twice": (GOOD + GOOD[GOOD.index("[[models]]") : GOOD.index("[[tasks]]")], "twice"),
    "repeats and precision": (GOOD + "", ""),
    "too few repeats for a precision": (
        GOOD.replace("repeats = 2", "precision = 0.05\nmax_repeats = 2"),
        "max_repeats: expected a whole number >= 3",
    ),
    "no datasets": (GOOD.replace(GOOD[GOOD.index("datasets") :], ""), "has no datasets"),
    "nested too deeply": ("a = " + "[" * 40 + "]" * 40 + GOOD, "nested"),
    "a model that can do nothing": (
        GOOD.replace('category = "task-specific"', 'category = "task-specific"\ntasks = ["x"]'),
        "none of the study's tasks",
    ),
    "a general-purpose model without a prompt": (
        GOOD.replace("task-specific", "general-purpose"),
        "",
    ),
}
WRONG["repeats and precision"] = (
    GOOD.replace("repeats = 2", "repeats = 2\nprecision = 0.05"),
    "both repeats and precision",
)


@pytest.fixture
def folder(tmp_path: Path, study: Callable[..., Path]) -> Path:
    """A folder with the rows and models that the study file names."""
    study("quick")
    return tmp_path


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line_that_says_where(folder: Path, name: str) -> None:
    text, words = WRONG[name]
    with pytest.raises(PermilleError) as caught:
        make(file.parse(text, where="study.toml", folder=folder))
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


def test_a_right_file_is_planned(folder: Path) -> None:
    plan = make(file.parse(GOOD, where="study.toml", folder=folder))
    (planned,) = plan.cells
    assert planned.cell.model == "quick"
    assert planned.dataset.labels == ("bad", "good")
    assert plan.protocol.inferences == 20


def test_a_file_of_windows_is_read(folder: Path) -> None:
    path = folder / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert file.read(path).settings.name == "inbox"


def test_a_cells_id_is_a_hash_of_its_content(folder: Path) -> None:
    def cell_id(text: str) -> str:
        return make(file.parse(text, where="study.toml", folder=folder)).cells[0].cell.id

    assert cell_id(GOOD) == cell_id(GOOD)
    assert cell_id(GOOD) != cell_id(GOOD.replace("models:quick", "models:slow"))
    before = cell_id(GOOD)
    rows = folder / "rows.jsonl"
    rows.write_text(rows.read_text().replace("number 3", "number three"))
    assert cell_id(GOOD) != before


def test_a_path_outside_is_read_where_the_user_allows_it(folder: Path, tmp_path: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "models.py").write_text((folder / "models.py").read_text())
    text = GOOD.replace("rows.jsonl", str(folder / "rows.jsonl"))
    study = file.parse(text, where="study.toml", folder=folder / "inner")
    with pytest.raises(StudyError, match="--allow-path"):
        make(study)
    assert make(study, [folder]).cells


def test_a_symlink_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "models.py").write_text((folder / "models.py").read_text())
    (folder / "inner" / "rows.jsonl").symlink_to(folder / "rows.jsonl")
    with pytest.raises(StudyError, match="outside the study's folder"):
        make(file.parse(GOOD, where="study.toml", folder=folder / "inner"))


def test_bad_rows_are_left_out_and_said(folder: Path) -> None:
    rows = folder / "rows.jsonl"
    rows.write_text("{broken\n" + rows.read_text() + '{"text": 5, "label": "good"}\n')
    (note,) = make(file.parse(GOOD, where="study.toml", folder=folder)).notes
    assert "2 bad rows skipped" in note
    assert "line 1" in note


def test_fewer_samples_than_inferences_are_whole_passes_and_said(folder: Path) -> None:
    text = GOOD.replace("inferences = 20", "inferences = 50")
    (note,) = make(file.parse(text, where="study.toml", folder=folder)).notes
    assert "3 passes, 60 inferences" in note


def test_no_rows_at_all_is_refused(folder: Path) -> None:
    (folder / "rows.jsonl").write_text("")
    with pytest.raises(PermilleError, match="row"):
        make(file.parse(GOOD, where="study.toml", folder=folder))


def test_a_file_too_large_or_not_text_is_refused(folder: Path) -> None:
    path = folder / "large.toml"
    path.write_bytes(b"#" * 1_000_001)
    with pytest.raises(StudyError, match="larger than"):
        file.read(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudyError, match="UTF-8"):
        file.read(path)
    with pytest.raises(StudyError, match="cannot read"):
        file.read(folder / "absent.toml")


def test_study_check_says_it_all_without_measuring(permille: Permille, folder: Path) -> None:
    (folder / "mine.toml").write_text(GOOD)
    assert "is valid: 1 cell, 2 repeats" in permille("study", "check", "mine.toml").out
    assert permille("study", "check", "mine.toml", "--json").json["ok"] is True
    (folder / "mine.toml").write_text(GOOD.replace("repeats =", "repeat ="))
    finished = permille("study", "check", "mine.toml", code=2)
    assert "did you mean 'repeats'?" in finished.err
    assert len(finished.err.strip().splitlines()) == 1


def test_a_name_that_is_neither_file_nor_preset_is_refused(permille: Permille) -> None:
    finished = permille("run", "quikstart", code=2)
    assert "quickstart" in finished.err
