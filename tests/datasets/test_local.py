from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from permille.datasets import local
from permille.datasets.opening import open_dataset
from permille.errors import DatasetError
from permille.tasks.question_answering import task as answering
from permille.tasks.summarization import task as summarizing
from permille.tasks.text_classification import task
from permille.workload.samples import Dataset
from permille.workload.specs import DatasetSpec

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: bool(text.strip()) and "\0" not in text
)


def opened(path: Path, limit: int | None = None, seed: int = 0, **given: Any) -> Dataset:
    spec = DatasetSpec(name="inbox", path=str(path), **given)
    return open_dataset(spec, task, limit=limit, seed=seed)


def jsonl(folder: Path, *rows: object) -> Path:
    path = folder / "inbox.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def by_id(dataset: Dataset) -> dict[str, tuple[str, str]]:
    return {s.id: (s.inputs["text"], s.reference) for s in dataset.samples}


def test_jsonl_by_column_names(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"body": "a", "queue": "sales"}, "", {"body": "b", "queue": 7})
    dataset = opened(path, columns={"text": "body", "label": "queue"})
    assert by_id(dataset) == {"1": ("a", "sales"), "3": ("b", "7")}
    assert dataset.labels == ("7", "sales")
    assert dataset.skipped == ()


def test_csv_with_a_bom_quotes_and_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "inbox.CSV"
    path.write_bytes(b'\xef\xbb\xbftext,label\r\n"a, ""b""\nc",x\r\n\r\nd,y\r\n')
    assert by_id(opened(path)) == {"3": ('a, "b"\nc', "x"), "5": ("d", "y")}


def test_a_bom_before_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "inbox.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "\xc3\xa9", "label": "x"}')
    assert by_id(opened(path)) == {"1": ("é", "x")}


def test_an_id_column(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"text": "a", "label": "x", "key": "k9"})
    assert set(by_id(opened(path, columns={"id": "key"}))) == {"k9"}


def test_bad_rows_are_left_out_counted_and_named(tmp_path: Path) -> None:
    good = {"text": "fine", "label": "x"}
    bad: list[tuple[object, str]] = [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ({"label": "x"}, "no 'text'"),
        ({"text": " ", "label": "x"}, "empty 'text'"),
        ({"text": 5, "label": "x"}, "'text' is not a string"),
        ({"text": "t"}, "no 'label'"),
        ({"text": "t", "label": True}, "'label' is not a string"),
        ('{"text": "\\ud800", "label": "x"}', "'text' is not text: a lone surrogate"),
        ("[" * 100_000, "not JSON"),
    ]
    dataset = opened(jsonl(tmp_path, good, *(row for row, _ in bad)))
    assert by_id(dataset) == {"1": ("fine", "x")}
    assert dataset.skipped == tuple(f"line {n}: {why}" for n, (_, why) in enumerate(bad, 2))
    assert dataset.skipped_total == len(bad)


def test_of_many_bad_rows_ten_are_named_and_all_counted(tmp_path: Path) -> None:
    dataset = opened(jsonl(tmp_path, {"text": "t", "label": "x"}, *["?"] * 25))
    assert len(dataset.skipped) == 10
    assert dataset.skipped_total == 25


def test_a_label_that_was_not_declared(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"text": "a", "label": "x"}, {"text": "b", "label": "z"})
    dataset = opened(path, labels=("x", "y"))
    assert by_id(dataset) == {"1": ("a", "x")}
    assert dataset.skipped == ("line 2: unknown label 'z'",)


def test_a_line_that_is_not_utf8_or_too_long(tmp_path: Path) -> None:
    path = tmp_path / "inbox.jsonl"
    long = b'{"text": "' + b"a" * (3 * local.MAX_LINE_BYTES) + b'", "label": "x"}\n'
    path.write_bytes(long + b'{"text": "\xff", "label": "x"}\n{"text": "ok", "label": "x"}\n')
    dataset = opened(path)
    assert by_id(dataset) == {"3": ("ok", "x")}
    assert dataset.skipped == ("line 1: longer than 1 MiB", "line 2: not UTF-8")


def test_a_long_document_in_a_csv_file_is_a_sample(tmp_path: Path) -> None:
    """The csv module takes 128 KiB a field by itself, and keeps that limit for others."""
    path, long = tmp_path / "inbox.csv", "a" * 500_000
    path.write_text(f"text,label\n{long},x\n")
    assert by_id(opened(path)) == {"2": (long, "x")}
    assert csv.field_size_limit() == 131_072


def test_a_csv_row_of_another_length(tmp_path: Path) -> None:
    path = tmp_path / "inbox.csv"
    path.write_text("text,label\na,x\nb\nc,y,z\n")
    dataset = opened(path)
    assert by_id(dataset) == {"2": ("a", "x")}
    assert dataset.skipped == (
        "line 3: 1 fields, the header has 2",
        "line 4: 3 fields, the header has 2",
    )


def _write(name: str, content: bytes) -> Any:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda folder: folder / "none.jsonl", "none.jsonl: no such file"),
        (_write("a.xlsx", b""), r"not a \.jsonl, \.csv or \.parquet file, nor a folder"),
        (_write("a.parquet", b""), "cannot be read as Parquet"),
        (_write("a.jsonl", b""), "it has no rows"),
        (_write("a.csv", b""), "it has no rows"),
        (_write("a.csv", b"text,label\n"), "it has no rows"),
        (_write("a.jsonl", b"?\n?\n"), "all 2 rows are unusable; line 1: not JSON"),
        (_write("a.csv", b"body,queue\na,b\n"), "no column 'label'; it has: body, queue"),
        (_write("a.csv", b"text,label,label\na,b,c\n"), "two columns called 'label'"),
        (_write("a.jsonl", b'{"body": "b", "label": "x"}\n'), "no column 'text'; it has: body"),
        (_write("a.csv", b"text,label\n\xff,x\n"), "not UTF-8"),
        (_write("a.csv", b'text,label\n"a,x\n'), "line 2: not CSV"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, build: Any, says: str) -> None:
    with pytest.raises(DatasetError, match=says) as caught:
        opened(build(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_file_that_may_not_be_larger(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.truncate(local.MAX_FILE_BYTES + 1)  # sparse: takes no room
    with pytest.raises(DatasetError, match="larger than 2 GiB"):
        opened(path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_more_rows_than_are_read(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "MAX_ROWS", 3)
    row = '{"text": "a", "label": "x"}\n' if name.endswith("l") else "a,x\n"
    (tmp_path / name).write_text(("" if name.endswith("l") else "text,label\n") + row * 4)
    with pytest.raises(DatasetError, match="more than 3 rows"):
        opened(tmp_path / name)


def test_a_column_that_the_task_does_not_know(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"text": "a", "label": "x"})
    with pytest.raises(
        DatasetError, match="the columns of text-classification are: text, label, id"
    ):
        opened(path, columns={"txt": "text"})


@settings(deadline=None)
@given(rows=st.lists(st.tuples(TEXTS, st.sampled_from(["x", "y"])), min_size=1, max_size=8))
def test_csv_and_jsonl_give_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("round")
    as_jsonl = jsonl(folder, *({"text": t, "label": x} for t, x in rows))
    as_csv = folder / "inbox.csv"
    with as_csv.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    for path in (as_jsonl, as_csv):
        found = sorted((s.inputs["text"], s.reference) for s in opened(path).samples)
        assert found == sorted(rows)


@pytest.mark.parametrize(
    ("value", "reference"),
    [
        ('["a", "b"]', ["a", "b"]),
        ('"a"', ["a"]),
        ("[]", []),
        ('{"text": ["a"], "answer_start": [3]}', ["a"]),
    ],
)
def test_accepted_answers_in_their_forms(tmp_path: Path, value: str, reference: Any) -> None:
    (tmp_path / "qa.jsonl").write_text(f'{{"question": "q", "context": "c", "answers": {value}}}')
    found = open_dataset(
        DatasetSpec(name="qa", path=str(tmp_path / "qa.jsonl")), answering, limit=None, seed=0
    )
    assert found.samples[0].reference == reference
    assert found.samples[0].inputs == {"question": "q", "context": "c"}


@pytest.mark.parametrize("value", ["7", "null", "[1]", '{"start": 1}', '[" "]'])
def test_answers_that_are_none_are_named(tmp_path: Path, value: str) -> None:
    (tmp_path / "qa.jsonl").write_text(f'{{"question": "q", "context": "c", "answers": {value}}}')
    with pytest.raises(DatasetError, match=r"all 1 rows are unusable; line 1: .*'answers'"):
        open_dataset(
            DatasetSpec(name="qa", path=str(tmp_path / "qa.jsonl")), answering, limit=None, seed=0
        )


def test_summaries_are_no_labels_however_many(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("text,summary\n" + "".join(f"t{i},s{i}\n" for i in range(1_100)))
    found = open_dataset(DatasetSpec(name="many", path=str(path)), summarizing, limit=None, seed=0)
    assert len(found.samples) == 1_100
    assert found.labels == ()
