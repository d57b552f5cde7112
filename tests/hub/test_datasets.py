"""Datasets of the Hub, through the real library, from a server that answers like the Hub."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from permille import plugins
from permille.datasets import pairs
from permille.datasets.hub import name_classes
from permille.datasets.opening import open_dataset
from permille.errors import DatasetError
from permille.store import Store
from permille.workload.protocols import Task
from permille.workload.specs import DatasetSpec
from tests.conftest import PATIENCE_S, Permille, environment_in
from tests.fake_hub import FakeHub
from tests.hub.conftest import Hub
from tests.optional import later
from tests.powercap import Driver

pytestmark = pytest.mark.slow

datasets = later("datasets", "datasets")

MODELS = """
def polarity(text):
    return "pos" if "good" in text else "neg"
"""

STUDY = """
[study]
name = "hub data"
inferences = 6
repeats = 1
warmup = 0
idle_s = 0.2

[[models]]
id = "a rule"
backend = "python"
category = "task-specific"
callable = "models:polarity"

[[tasks]]
task = "text-classification"
datasets = [{dataset}]
"""


def publish(hub: FakeHub, tmp_path: Path, repo: str, data: Any, name: str) -> str:
    folder = tmp_path / "published" / repo
    (folder / name).parent.mkdir(parents=True)
    data.to_parquet(str(folder / name))
    return hub.add("datasets", repo, folder)


def reviews() -> Any:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    rows = {
        "text": [f"{w} film {i}" for i in range(4) for w in ("bad", "good")],
        "label": [0, 1] * 4,
    }
    return datasets.Dataset.from_dict(rows, features=features)


def write(tmp_path: Path, dataset: str) -> None:
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "study.toml").write_text(STUDY.format(dataset=dataset))


def test_a_pair_of_the_paper_by_its_name_alone(
    permille: Permille, powercap: Driver, hub: FakeHub, tmp_path: Path
) -> None:
    repo = "cornell-movie-review-data/rotten_tomatoes"
    commit = publish(hub, tmp_path, repo, reviews(), "data/test-00000-of-00001.parquet")
    write(tmp_path, '"rotten_tomatoes"')
    permille("run", "study.toml")
    with Store(tmp_path / "permille.db", readonly=True) as store:
        (trial,) = store.trials()
    assert trial.status == "done", trial.reason
    assert trial.quality is not None
    assert trial.quality.value == 1.0
    assert trial.quality.n == 6
    assert trial.cell.dataset == "rotten_tomatoes"
    assert trial.cell.settings["dataset_origin"] == f"{repo}@{commit[:12]}, test"


def test_a_table_names_the_place_and_the_columns(
    permille: Permille, hub: FakeHub, tmp_path: Path
) -> None:
    data = reviews().rename_columns({"text": "body", "label": "queue"})
    publish(hub, tmp_path, "someone/reviews", data, "data/train-00000-of-00001.parquet")
    write(
        tmp_path,
        '{ hub = "someone/reviews", split = "train", text = "body", label = "queue" }',
    )
    checked = permille("study", "check", "study.toml", "--json").json
    assert checked["cells"][0]["dataset"] == "reviews"


def test_the_same_samples_again_without_the_network(
    permille: Permille, hub: FakeHub, tmp_path: Path
) -> None:
    publish(hub, tmp_path, "someone/reviews", reviews(), "data/test-00000-of-00001.parquet")
    write(tmp_path, '{ hub = "someone/reviews" }')
    refused = permille("study", "check", "study.toml", code=2, HF_HUB_OFFLINE="1")
    assert "has not been read on this machine yet, and HF_HUB_OFFLINE is set" in refused.err
    first = permille("study", "check", "study.toml", "--json").json
    asked = len(hub.asked)
    again = permille("study", "check", "study.toml", "--json", HF_HUB_OFFLINE="1").json
    assert again == first
    assert len(hub.asked) == asked


@pytest.mark.parametrize(
    ("dataset", "says"),
    [
        ('{ hub = "someone/nothing" }', "the Hub has no such dataset"),
        ('{ hub = "someone/reviews", split = "none" }', "none"),
        ('{ hub = "someone/reviews", text = "body" }', "has no column 'body'; it has: text, label"),
        ('{ hub = "someone/reviews", revision = "v9" }', "the Hub has no such revision"),
        ('{ hub = "someone/reviews", split = 3 }', "expected text, got a whole number"),
        ('{ hub = "someone/scripted" }', 'revision = "refs/convert/parquet"'),
        ('{ hub = "a/b", path = "x.csv" }', "a table needs a path or a hub"),
        ('"reviewz"', "no dataset 'reviewz' for text-classification; available:"),
    ],
)
def test_what_cannot_be_had_is_one_line(
    permille: Permille, hub: FakeHub, tmp_path: Path, dataset: str, says: str
) -> None:
    publish(hub, tmp_path, "someone/reviews", reviews(), "data/test-00000-of-00001.parquet")
    scripted = tmp_path / "scripted"
    scripted.mkdir()
    (scripted / "scripted.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    hub.add("datasets", "someone/scripted", scripted)
    write(tmp_path, dataset)
    refused = permille("study", "check", "study.toml", code=2)
    assert says in refused.err
    assert refused.err.count("\n") == 1
    assert not (tmp_path / "executed").exists()


def test_a_dry_run_reads_no_rows(permille: Permille, hub: FakeHub, tmp_path: Path) -> None:
    write(tmp_path, '"Rotten Tomatoes"')
    assert permille("run", "study.toml", "--dry-run", "--json").json["cells"] == 1
    assert not hub.asked


def test_one_that_cannot_be_had_says_why() -> None:
    task: Task = plugins.load("tasks", "image-to-text")
    with pytest.raises(
        DatasetError, match="'redcaps' is not available for image-to-text: the Hub has"
    ):
        open_dataset(DatasetSpec(name="redcaps"), task, limit=1, seed=0)


class TestTheTable:
    def test_it_has_the_thirty_pairs_of_the_paper(self) -> None:
        found: dict[str, int] = {}
        for pair in pairs.all_pairs():
            found[pair.task] = found.get(pair.task, 0) + 1
        assert len(found) == 10
        assert set(found.values()) == {3}

    @pytest.mark.parametrize("pair", pairs.all_pairs(), ids=lambda p: f"{p.task}-{p.name}")
    def test_each_says_where_it_is_or_why_not(self, pair: pairs.Pair) -> None:
        assert (pair.repo is None) == (pair.absent is not None)
        assert pair.task in plugins.names("tasks")
        task: Task = plugins.load("tasks", pair.task)
        assert set(pair.columns) <= {*task.inputs, task.reference, "id"}
        if pair.repo is not None:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", pair.repo)

    @pytest.mark.parametrize("name", ["rotten_tomatoes", "Rotten Tomatoes", "rotten-tomatoes"])
    def test_a_name_is_found_however_it_is_written(self, name: str) -> None:
        pair = pairs.find("text-classification", name)
        assert pair is not None
        assert pair.repo == "cornell-movie-review-data/rotten_tomatoes"


READ = """
import json, sys, msgspec
from permille import plugins
from permille.workload.specs import DatasetSpec, HubSource
from permille.datasets.opening import open_dataset
found = {}
for name, (task, source) in json.loads(sys.argv[1]).items():
    spec = DatasetSpec(name="it", hub=HubSource(**source))
    found[name] = open_dataset(spec, plugins.load("tasks", task), limit=5, seed=0)
print(msgspec.json.encode(found).decode())
"""


def picture() -> bytes:
    image = pytest.importorskip("PIL.Image")
    content = io.BytesIO()
    image.new("RGB", (8, 8)).save(content, "PNG")
    return content.getvalue()


def pets() -> Any:
    things = {
        "bbox": datasets.List(datasets.List(datasets.Value("float32"))),
        "category": datasets.List(datasets.ClassLabel(names=["cat", "dog"])),
    }
    features = datasets.Features({"image": datasets.Image(), "objects": things})
    found = {"bbox": [[1.0, 2.0, 4.0, 6.0]], "category": [0]}
    rows = {
        "image": [
            {"bytes": picture(), "path": "cat.png"},
            {"bytes": None, "path": "/etc/passwd"},
        ],
        "objects": [found, found],
    }
    return datasets.Dataset.from_dict(rows, features=features)


def names() -> Any:
    text = datasets.List(datasets.Value("string"))
    tags = datasets.List(datasets.ClassLabel(names=["O", "B-PER"]))
    features = datasets.Features({"tokens": text, "tags": tags})
    rows = {"tokens": [["Ann", "sings"]], "tags": [[1, 0]]}
    return datasets.Dataset.from_dict(rows, features=features)


@pytest.fixture(scope="module")
def opened(own_hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Datasets as they are opened, in a process whose client reads the environment afresh: one for
    all, because it imports the library."""
    folder, hub = tmp_path_factory.mktemp("opened"), own_hub.server
    untagged = datasets.Dataset.from_dict({"tokens": ["Ann  sings"]})
    own_hub.forget()
    publish(hub, folder, "someone/names", names(), "data/test-00000-of-00001.parquet")
    publish(hub, folder, "someone/words", untagged, "data/test-00000-of-00001.parquet")
    commit = publish(hub, folder, "someone/old", reviews(), "default/test/0000.parquet")
    old = {"files": "default/test/*.parquet", "revision": commit}
    asked: dict[str, Any] = {
        "names": ["token-classification", {}],
        "words": ["token-classification", {"unscored": True}],
        "old": ["text-classification", old],
    }
    if importlib.util.find_spec("PIL"):
        publish(hub, folder, "someone/pets", pets(), "data/val-00000-of-00001.parquet")
        asked["pets"] = ["object-detection", {"split": "val", "boxes": "corners"}]
    for repo, (_, source) in asked.items():
        source["repo"] = f"someone/{repo}"
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(asked)],
        env=own_hub.seen_from(environment_in(folder)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


class TestRows:
    """What the library gives, in the form that files have."""

    def test_classes_have_their_names_at_any_depth(self) -> None:

        kind = datasets.ClassLabel(names=["cat", "dog"])
        assert name_classes(1, kind) == "dog"
        assert name_classes(-1, kind) is None
        assert name_classes([0, 1], datasets.List(kind)) == ["cat", "dog"]
        things = {"bbox": datasets.List(datasets.Value("float32")), "category": kind}
        assert name_classes({"bbox": [1.0], "category": 0}, things)["category"] == "cat"
        listed = {"bbox": datasets.List(datasets.List(datasets.Value("float32")))}
        listed["category"] = datasets.List(kind)
        assert name_classes({"bbox": [[1.0]], "category": [1]}, listed)["category"] == ["dog"]

    def test_images_and_boxes(self, opened: dict[str, Any]) -> None:
        digest = hashlib.sha256(picture()).hexdigest()
        (sample,) = opened["pets"]["samples"]
        assert sample["reference"] == [{"label": "cat", "bbox": [1.0, 2.0, 3.0, 4.0]}]
        assert sample["inputs"]["image"]["sha256"] == digest
        # A path is no image, least of all of this machine.
        assert opened["pets"]["skipped_total"] == 1

    @pytest.mark.parametrize(("repo", "tags"), [("names", ["B-PER", "O"]), ("words", None)])
    def test_words_and_their_tags(self, opened: dict[str, Any], repo: str, tags: Any) -> None:
        (sample,) = opened[repo]["samples"]
        assert sample["inputs"] == {"tokens": ["Ann", "sings"]}
        assert sample["reference"] == tags

    def test_files_by_a_pattern_on_another_revision(self, opened: dict[str, Any]) -> None:
        assert len(opened["old"]["samples"]) == 5
        assert opened["old"]["labels"] == ["neg", "pos"]
