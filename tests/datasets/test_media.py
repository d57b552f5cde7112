"""Images, recordings, words, tags and boxes in files, folders and Parquet: what is taken, what is
left out and named, and what never happens."""

from __future__ import annotations

import json
import os
import resource
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from permille import assets
from permille.datasets import local, media
from permille.datasets.opening import open_dataset
from permille.errors import DatasetError, UsageError
from permille.tasks.automatic_speech_recognition import task as listening
from permille.tasks.feature_extraction import task as embedding
from permille.tasks.image_classification import task as seeing
from permille.tasks.image_to_text import task as captioning
from permille.tasks.object_detection import task as detecting
from permille.tasks.summarization import task as summarizing
from permille.tasks.text_classification import task as classifying
from permille.tasks.token_classification import task as tagging
from permille.workload.protocols import Task
from permille.workload.samples import Dataset
from permille.workload.specs import DatasetSpec
from tests import tiny_models as tiny


def opened(path: Path, task: Task, limit: int | None = None, **columns: str) -> Dataset:
    spec = DatasetSpec(name="d", path=str(path), columns=columns)
    return open_dataset(spec, task, limit=limit, seed=0)


def jsonl(file: Path, *rows: object) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two red and one blue image, a folder for each class."""
    root = tmp_path / "pictures"
    for name, rgb in (("red/1", (255, 0, 0)), ("red/2", (200, 0, 0)), ("blue/1", (0, 0, 255))):
        tiny.picture(root / f"{name}.png", rgb)
    return root


def test_a_full_disk_leaves_no_part_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERMILLE_CACHE", str(tmp_path / "cache"))
    content = tiny.noise(tmp_path / "x.png").read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A write beyond the limit also sends a signal, which Python ignores.
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
    try:
        with pytest.raises(UsageError, match="cannot write"):
            media.keep(content, "image")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not list((tmp_path / "cache" / "media").iterdir())
    assert Path(media.keep(content, "image")["path"]).read_bytes() == content


# --- folders -----------------------------------------------------------------------------


def test_a_folder_for_each_class(folder: Path) -> None:
    tiny.picture(folder / "stray.png", (0, 0, 0))
    (folder / "red" / "notes.txt").write_text("no image")
    (folder / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    found = opened(folder, seeing)
    assert {s.id: s.reference for s in found.samples} == {
        "red/1.png": "red", "red/2.png": "red", "blue/1.png": "blue"
    }  # fmt: skip
    assert found.labels == ("blue", "red")
    assert found.skipped_total == 2
    assert found.skipped == (
        "stray.png: empty 'label'",
        "red/broken.jpg: 'broken.jpg' is not an image in a supported format",
    )


def test_a_class_whose_folder_cannot_be_listed_is_no_smaller_dataset(folder: Path) -> None:
    spec = DatasetSpec(name="d", path=str(folder))
    rows = local.read(spec, seeing)
    next(rows)  # of blue; red is still to be listed
    shutil.rmtree(folder / "red")
    with pytest.raises(DatasetError, match=r"red cannot be read: No such file"):
        list(rows)


def test_a_folder_that_is_moved_is_the_same_dataset(folder: Path, tmp_path: Path) -> None:
    before = opened(folder, seeing)
    moved = opened(folder.rename(tmp_path / "elsewhere"), seeing)
    assert moved.digest == before.digest
    tiny.picture(tmp_path / "elsewhere" / "red" / "1.png", (1, 2, 3))
    assert opened(tmp_path / "elsewhere", seeing).digest != before.digest


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_metadata_says_what_is_in_a_flat_folder(tmp_path: Path, kind: str) -> None:
    tiny.picture(tmp_path / "a.png", (1, 1, 1))
    tiny.picture(tmp_path / "sub" / "b.png", (2, 2, 2))
    if kind == "jsonl":
        rows = [{"file_name": "a.png", "text": "grey"}, {"file_name": "sub/b.png", "text": "dark"}]
        jsonl(tmp_path / "metadata.jsonl", *rows)
    else:
        (tmp_path / "metadata.csv").write_text("file_name,text\na.png,grey\nsub/b.png,dark\n")
    found = opened(tmp_path, captioning, captions="text")
    assert sorted(s.reference for s in found.samples) == [["dark"], ["grey"]]


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (captioning, r"no metadata\.jsonl or metadata\.csv, which image-to-text needs for caption"),
        (summarizing, "is a folder; summarization needs a file of rows"),
    ],
)
def test_what_a_folder_cannot_tell(folder: Path, task: Task, says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        opened(folder, task)


def test_columns_of_a_folder_that_has_none(folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"no metadata\.jsonl .* could be named \(label\)"):
        opened(folder, seeing, label="kind")


# --- paths -------------------------------------------------------------------------------


def test_paths_never_leave_the_folder(tmp_path: Path) -> None:
    inside = tmp_path / "data"
    tiny.picture(inside / "ok.png", (0, 0, 0))
    tiny.picture(tmp_path / "secret.png", (9, 9, 9))
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    (inside / "loop.png").symlink_to(inside / "loop.png")
    names = ["ok.png", "../secret.png", str(tmp_path / "secret.png"), "link.png", "loop.png",
             "none.png", "x" * 5000, "a\0b"]  # fmt: skip
    file = jsonl(inside / "rows.jsonl", *({"image": name, "label": "x"} for name in names))
    found = opened(file, seeing)
    assert [s.id for s in found.samples] == ["1"]
    assert found.skipped_total == len(names) - 1
    assert sum("leaves the dataset's folder" in why for why in found.skipped) == 3


def test_a_folder_whose_link_leaves_it_is_not_followed(folder: Path, tmp_path: Path) -> None:
    tiny.picture(tmp_path / "other" / "x.png", (1, 1, 1))
    (folder / "linked").symlink_to(tmp_path / "other")
    (folder / "red" / "out.png").symlink_to(tmp_path / "other" / "x.png")
    found = opened(folder, seeing)
    assert len(found.samples) == 3
    assert found.skipped == ("red/out.png: 'red/out.png' leaves the dataset's folder",)


def test_a_file_that_changes_after_the_plan_is_noticed(folder: Path) -> None:
    (sample, *_) = opened(folder, seeing).samples
    value = sample.inputs["image"]
    assert media.read(value).startswith(b"\x89PNG")
    Path(value["path"]).write_bytes(b"other")
    with pytest.raises(DatasetError, match="has changed since the study was planned"):
        media.read(value)
    Path(value["path"]).unlink()
    with pytest.raises(DatasetError, match="cannot be read"):
        media.read(value)


# --- bombs -------------------------------------------------------------------------------


def bomb(width: int, height: int) -> bytes:
    """A PNG of some bytes that says it is enormous."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(9_000, 9_000), (60_000, 60_000)])
def test_an_image_of_too_many_pixels_is_refused_by_its_header(
    folder: Path, width: int, height: int
) -> None:
    (folder / "red" / "bomb.png").write_bytes(bomb(width, height))
    found = opened(folder, seeing)
    assert len(found.samples) == 3
    assert found.skipped[0].startswith("red/bomb.png: 'bomb.png' has too many pixels")


def test_a_recording_that_is_too_long_or_none_is_left_out(tmp_path: Path) -> None:
    tiny.recording(tmp_path / "ok.wav", 0.1)
    tiny.recording(tmp_path / "long.wav", 601, rate=1_000)
    (tmp_path / "none.wav").write_bytes(b"RIFF nothing")
    names = ("ok.wav", "long.wav", "none.wav")
    file = jsonl(tmp_path / "rows.jsonl", *({"audio": name, "text": "hello"} for name in names))
    found = opened(file, listening)
    assert [s.id for s in found.samples] == ["1"]
    assert found.skipped == (
        "line 2: 'long.wav' lasts 601 s; the limit is 600 s",
        "line 3: 'none.wav' is not a recording in a supported format",
    )


# --- Parquet -----------------------------------------------------------------------------


def parquet(file: Path, select: str) -> Path:
    duckdb = pytest.importorskip("duckdb")
    quoted = str(file).replace("'", "''")
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({select}) TO '{quoted}' (FORMAT parquet)")
    return file


def test_parquet_is_read_by_column(tmp_path: Path) -> None:
    select = "SELECT 'text ' || i AS body, i % 2 AS queue, i AS junk FROM range(5) t(i)"
    found = opened(parquet(tmp_path / "x.parquet", select), classifying, text="body", label="queue")
    assert sorted((s.id, s.inputs["text"], s.reference) for s in found.samples) == [
        (str(i + 1), f"text {i}", str(i % 2)) for i in range(5)
    ]


def test_parquet_names_what_it_lacks(tmp_path: Path) -> None:
    file = parquet(tmp_path / "x.parquet", "SELECT 'a' AS body, NULL AS label")
    with pytest.raises(DatasetError, match="no column 'text'; it has: body, label"):
        opened(file, classifying)
    with pytest.raises(DatasetError, match="all 1 rows are unusable; row 1: no 'label'"):
        opened(file, classifying, text="body")
    with pytest.raises(DatasetError, match="for a pattern"):
        opened(file.rename(tmp_path / "x*.parquet"), classifying)


def test_images_in_parquet_are_kept_once_they_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERMILLE_CACHE", str(tmp_path / "cache"))
    blobs = []
    for number in range(4):
        content = tiny.noise(tmp_path / "x.png", number=number).read_bytes()
        blobs.append(f"SELECT {number} AS n, from_hex('{content.hex()}') AS b")
    rows = " UNION ALL ".join(blobs)
    select = f"SELECT {{'bytes': b, 'path': 'x.png'}} AS image, n % 2 AS label FROM ({rows})"
    found = opened(parquet(tmp_path / "x.parquet", select), seeing, limit=2)
    kept = sorted(path.name for path in (assets.cache_folder() / "media").iterdir())
    assert kept == sorted(s.inputs["image"]["sha256"] for s in found.samples)
    assert len(kept) == 2
    assert all(media.read(s.inputs["image"]).startswith(b"\x89PNG") for s in found.samples)


# --- words, tags, objects ----------------------------------------------------------------


def test_words_have_as_many_tags(tmp_path: Path) -> None:
    file = jsonl(
        tmp_path / "x.jsonl",
        {"words": ["Ada", "codes"], "ner": ["B-PER", "O"]},
        {"words": ["Ada"], "ner": ["B-PER", "O"]},
        {"words": "Ada codes", "ner": ["O", "O"]},
        {"words": [], "ner": []},
        {"words": ["a", 5, True], "ner": [0, 1, 0]},
        {"words": ["a", 5], "ner": [0, 1]},
    )
    found = opened(file, tagging, tokens="words", tags="ner")
    assert {s.id: (s.inputs["tokens"], s.reference) for s in found.samples} == {
        "1": (["Ada", "codes"], ["B-PER", "O"]),
        "6": (["a", "5"], ["0", "1"]),
    }
    assert found.skipped == (
        "line 2: 1 words, but 2 tags",
        "line 3: 'words' is not a list of words",
        "line 4: 'ner' is not a list of words",
        "line 5: 'words' is not a string",
    )


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        (
            [{"label": "cat", "bbox": [1, 2, 3, 4]}],
            [{"label": "cat", "bbox": [1.0, 2.0, 3.0, 4.0]}],
        ),
        ({"category": [7], "bbox": [[1, 2, 3, 4]]}, [{"label": "7", "bbox": [1.0, 2.0, 3.0, 4.0]}]),
        ([], []),
        ([{"label": "cat", "bbox": [1, 2, 3]}], None),
        ([{"label": "cat", "bbox": [1, 2, 0, 4]}], None),
        ([{"label": "cat", "bbox": [1, 2, float("nan"), 4]}], None),
        ([{"label": "cat", "bbox": [1, 2, 10**400, 4]}], None),
        ([{"bbox": [1, 2, 3, 4]}], None),
        ({"category": [7, 8], "bbox": [[1, 2, 3, 4]]}, None),
        ("cat", None),
    ],
)
def test_objects_have_labels_and_boxes(tmp_path: Path, objects: Any, expected: Any) -> None:
    tiny.picture(tmp_path / "a.png", (0, 0, 0))
    file = jsonl(tmp_path / "x.jsonl", {"image": "a.png", "objects": objects})
    if expected is None:
        with pytest.raises(DatasetError, match="all 1 rows are unusable"):
            opened(file, detecting)
    else:
        (sample,) = opened(file, detecting).samples
        assert sample.reference == expected


def test_a_reference_that_may_be_left_out_is_taken_if_it_is_named(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "x.jsonl", {"text": "a", "topic": "t"}, {"text": "b", "topic": "u"})
    assert {s.reference for s in opened(file, embedding).samples} == {None}
    assert {s.reference for s in opened(file, embedding, label="topic").samples} == {"t", "u"}


def test_a_file_name_that_is_no_text_is_a_bad_row(folder: Path) -> None:
    os.rename(folder / "red" / "2.png", os.fsencode(folder / "red") + b"/\xff.png")
    found = opened(folder, seeing)
    assert len(found.samples) == 2
    assert found.skipped[0].isprintable()


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_folder_of_recordings_with_metadata_is_a_dataset(tmp_path: Path, kind: str) -> None:
    tiny.recording(tmp_path / "a.wav", 0.1)
    tiny.recording(tmp_path / "b.wav", 0.2)
    rows = [{"file_name": f"{name}.wav", "transcription": f"word {name}"} for name in "ab"]
    if kind == "csv":
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    else:
        lines = [json.dumps(row) for row in rows]
    (tmp_path / f"metadata.{kind}").write_text("\n".join(lines))
    spec = DatasetSpec(name="d", path=str(tmp_path), columns={"text": "transcription"})
    task = listening
    found = open_dataset(spec, task, limit=None, seed=0)
    assert {Path(s.inputs["audio"]["path"]).name: s.reference for s in found.samples} == {
        "a.wav": "word a",
        "b.wav": "word b",
    }
    (tmp_path / f"metadata.{kind}").unlink()
    with pytest.raises(DatasetError, match=r"has no metadata\.jsonl or metadata\.csv"):
        open_dataset(spec, task, limit=None, seed=0)
