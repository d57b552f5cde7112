"""Each task from the study file to the results, on tiny models made here; and batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from permille.records.answers import Quality
from permille.records.trial import Trial
from permille.store import Store
from permille.study.plan import file
from permille.study.plan.grid import make
from permille.study.worker.messages import WorkerResult
from tests import tiny_models as tiny
from tests.campaigns import size
from tests.conftest import Permille
from tests.optional import later
from tests.powercap import Driver
from tests.study import in_process

pytestmark = pytest.mark.slow

later("torch", "torch")
later("transformers", "torch")

STUDY = """
[study]
name = "each"
inferences = 6
repeats = 1
warmup = 0
idle_s = 0.1

[[models]]
id = "tiny"
backend = "{backend}"
category = "task-specific"
path = "model"
threads = 1
{more}

[[tasks]]
task = "{task}"
datasets = [{{ path = "{data}"{columns} }}]
"""


def jsonl(folder: Path, *rows: object) -> str:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "rows.jsonl"


def words(folder: Path) -> str:
    sentences = [(tiny.SENTENCE[:n], tiny.SENTENCE_TAGS[:n]) for n in (8, 5, 4)]
    return jsonl(folder, *({"tokens": w, "tags": t} for w, t in sentences))


def texts(folder: Path) -> str:
    found = ("a good film", "ada lives in paris", "ada works for acme")
    return jsonl(folder, *({"text": text, "label": text[0]} for text in found))


def pictures(folder: Path) -> str:
    for name, rgb in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        for number in range(2):
            tiny.picture(folder / "data" / name / f"{number}.png", rgb, (40 + number, 30))
    return "data"


def captions(folder: Path) -> str:
    (folder / "data").mkdir()
    for number in range(2):
        tiny.noise(folder / "data" / f"{number}.png", number=number)
    rows = [{"file_name": f"{n}.png", "text": ["a film", "a good film"]} for n in range(2)]
    (folder / "data" / "metadata.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return "data"


def objects(folder: Path) -> str:
    for number in range(2):
        tiny.noise(folder / f"{number}.png", number=number)
    things = [{"label": "cat", "bbox": [0, 0, 20, 20]}, {"label": "dog", "bbox": [9, 9, 20, 20]}]
    return jsonl(folder, *({"image": f"{n}.png", "objects": things} for n in range(2)))


def recordings(folder: Path) -> str:
    for number in range(2):
        tiny.recording(folder / f"{number}.wav", 0.5)
    return jsonl(folder, *({"audio": f"{n}.wav", "text": "hello"} for n in range(2)))


def written(
    folder: Path, kind: str, task: str, data: Any, columns: str = "", more: str = ""
) -> Path:
    """A study of one model that is made here."""
    (folder / "model").mkdir()
    getattr(tiny, kind)(folder / "model")
    study = STUDY.format(
        backend="transformers", more=more, task=task, data=data(folder), columns=columns
    )
    (folder / "study.toml").write_text(study)
    return folder / "study.toml"


@pytest.fixture
def run(permille: Permille, powercap: Driver, tmp_path: Path) -> Callable[..., Trial]:
    """Runs a study of one model; its one trial."""

    def go(kind: str, task: str, data: Any, more: str = "") -> Trial:
        written(tmp_path, kind, task, data, more=more)
        permille("run", "study.toml")
        with Store(tmp_path / "permille.db", readonly=True) as store:
            (trial,) = store.trials()
        assert trial.status == "done"
        return trial

    return go


@pytest.fixture
def work(tmp_path: Path) -> Callable[..., WorkerResult]:
    """Plans a study of one model, and does the worker's part in this process; its result."""

    def go(kind: str, task: str, data: Any, columns: str = "", more: str = "") -> WorkerResult:
        plan = make(file.read(written(tmp_path, kind, task, data, columns, more=more)))
        (planned,) = plan.cells
        query, result = in_process.work(plan, planned)
        assert query.span.attributes["inferences"] == 6
        return result

    return go


def check(
    quality: Quality | None, counts: dict[str, float], metric: str, counted: set[str]
) -> None:
    assert quality is not None
    assert quality.metric == metric
    assert set(counts) == counted


@pytest.mark.parametrize(
    ("kind", "task", "data", "columns", "metric", "counted"),
    [
        ("masked", "fill-mask", texts, "", "top1_accuracy", {"tokens_in"}),
        ("tagger", "feature-extraction", texts, ', label = "label"', "precision_at_1",
         {"tokens_in"}),
        ("yolos", "object-detection", objects, "", "map", {"images", "pixels"}),
        ("captioner", "image-to-text", captions, ', captions = "text"', "rougeL",
         {"images", "pixels", "tokens_out"}),
        ("wav2vec2", "automatic-speech-recognition", recordings, "", "wer", {"audio_seconds"}),
        ("whisper", "automatic-speech-recognition", recordings, "", "wer",
         {"audio_seconds", "tokens_out"}),
    ],
)  # fmt: skip
def test_a_task_from_the_study_file_to_its_score(
    work: Any, kind: str, task: str, data: Any, columns: str, metric: str, counted: set[str]
) -> None:
    """In this process, which imports torch once."""
    more = "max_new_tokens = 4" if kind in ("captioner", "whisper") else ""
    result = work(kind, task, data, columns, more=more)
    check(result.quality, result.counts, metric, counted)
    if "images" in counted:
        assert result.counts["images"] == 6
    assert result.facts.params


SOUND_AND_IMAGES = [
    ("vit", "image-classification", pictures, "accuracy", {"images", "pixels"}),
    ("whisper", "automatic-speech-recognition", recordings, "wer",
     {"audio_seconds", "tokens_out"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "task", "data", "metric", "counted"), SOUND_AND_IMAGES[: size(1, 2)]
)
@pytest.mark.campaign
def test_a_task_from_end_to_end(
    run: Any, kind: str, task: str, data: Any, metric: str, counted: set[str]
) -> None:
    """One of images, one of sound; the batches below are of words, and tests/hub has one that draws
    images."""
    trial = run(kind, task, data, more="max_new_tokens = 4" if kind == "whisper" else "")
    query = trial.phases["query"]
    assert query.inferences is not None
    assert query.domains["cpu:0"].energy_j > 0
    check(trial.quality, trial.counts, metric, counted)
    if kind == "vit":
        assert trial.quality.value == 1, "it was trained on this"
        assert trial.counts["images"] == query.inferences
    assert trial.facts.params


@pytest.mark.campaign
def test_a_batch_counts_its_samples(run: Any, permille: Permille, tmp_path: Path) -> None:
    trial = run("tagger", "token-classification", words, more="batch_size = 2")
    query = trial.phases["query"]
    assert trial.protocol.batch_size == 2
    assert query.inferences is not None
    assert query.inferences % 3 == 0
    assert trial.latency is not None
    # Three samples a pass, two at once: two calls a pass.
    assert trial.latency.n == query.inferences // 3 * 2
    assert trial.quality is not None
    assert (trial.quality.value, trial.quality.n) == (1, 3)
    assert trial.counts["tokens_in"] == (10 + 7 + 6) * query.inferences / 3
    (row,) = permille("results", "--json").json["rows"]
    kwh = query.domains["cpu:0"].energy_j / query.inferences * 1000 / 3.6e6
    assert row["kwh_per_1000"]["value"] == pytest.approx(kwh)
    # The same again measures nothing; another size is another cell.
    assert permille("run", "study.toml", "--json-lines").out == ""
    study = tmp_path / "study.toml"
    study.write_text(study.read_text().replace("batch_size = 2", "batch_size = 3"))
    planned = permille("run", "study.toml", "--dry-run", "--json").json
    assert (planned["trials"], planned["finished"]) == (1, 0)
    study.write_text(study.read_text().replace("batch_size = 3", "batch_size = 4"))
    refused = permille("run", "study.toml", code=2)
    assert "batch_size = 4, but dataset 'rows.jsonl' gives 3 samples" in refused.err


@pytest.mark.parametrize(
    ("task", "data", "says"),
    [
        (
            "object-detections",
            texts,
            "no task 'object-detections'; did you mean 'object-detection'",
        ),
        ("text-to-image", texts, "supports none of the study's tasks: text-to-image"),
        ("image-classification", texts, "has no column 'image'; it has: label, text"),
        ("image-classification", pictures, "no such file"),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_is_measured(
    permille: Permille, tmp_path: Path, task: str, data: Any, says: str
) -> None:
    (tmp_path / "model").mkdir()
    study = STUDY.format(
        backend="transformers", more="", task=task, data=data(tmp_path), columns=""
    )
    (tmp_path / "study.toml").write_text(study)
    refused = permille("run", "study.toml", code=2)
    assert says in refused.err
    assert len(refused.err.strip().splitlines()) == 1
