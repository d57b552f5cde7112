"""Models by their id on the Hub, through the real client, from a server that answers like it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from permille import assets
from permille.records.trial import Trial
from permille.store import Store
from tests import quickstart_assets, tiny_onnx
from tests.conftest import Permille
from tests.fake_hub import FakeHub
from tests.powercap import Driver

pytestmark = pytest.mark.slow

Write = Callable[..., None]

STUDY = """
[study]
name = "from the hub"
inferences = 2
repeats = 1
warmup = 0
idle_s = 0.2

[[models]]
id = "tiny/sentiment"
backend = "{backend}"
category = "task-specific"
{more}

[[tasks]]
task = "text-classification"
datasets = [{{ path = "rows.csv" }}]
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    (tmp_path / "rows.csv").write_text("text,label\ngood film,good\nbad film,bad\n")

    def study(more: str = "", backend: str = "onnx") -> None:
        (tmp_path / "study.toml").write_text(STUDY.format(more=more, backend=backend))

    return study


@pytest.fixture
def onnx_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    folder.mkdir()
    tiny_onnx.write(folder, [[0.0, 0.0], [0.0, 9.0], [9.0, 0.0], [0.0, 0.0]], pooled=True)
    tiny_onnx.write_tokenizer(folder, ["?", "good", "bad", "film"])
    (folder / "config.json").write_text(
        '{"id2label": {"0": "bad", "1": "good"}, "architectures": ["TinyModel"]}'
    )
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "README.md").write_text("tiny")
    return folder


def only_trial(tmp_path: Path) -> Trial:
    with Store(tmp_path / "permille.db", readonly=True) as store:
        (trial,) = store.trials()
    return trial


def test_a_model_is_fetched_pinned_and_recorded(
    permille: Permille,
    powercap: Driver,
    hub: FakeHub,
    write: Write,
    onnx_folder: Path,
    tmp_path: Path,
) -> None:
    commit = hub.add("models", "tiny/sentiment", onnx_folder)
    write()
    permille("run", "study.toml")
    trial = only_trial(tmp_path)
    assert trial.status == "done", trial.reason
    assert trial.cell.settings["repo"] == "tiny/sentiment"
    assert trial.cell.settings["revision"] == commit
    assert set(trial.facts.files) == {"model.onnx", "tokenizer.json", "config.json"}
    assert all(len(digest) == 64 for digest in trial.facts.files.values())
    assert trial.facts.params == 8
    assert trial.facts.architecture == "TinyModel"
    assert trial.quality is not None
    assert trial.quality.value == 1.0
    assert not any("pytorch_model" in path for path in hub.asked)


def test_a_model_in_the_folder_that_the_hub_has_for_onnx(
    permille: Permille,
    powercap: Driver,
    hub: FakeHub,
    write: Write,
    onnx_folder: Path,
    tmp_path: Path,
) -> None:
    (onnx_folder / "onnx").mkdir()
    (onnx_folder / "model.onnx").rename(onnx_folder / "onnx" / "model.onnx")
    hub.add("models", "tiny/sentiment", onnx_folder)
    write()
    permille("run", "study.toml")
    trial = only_trial(tmp_path)
    assert trial.status == "done", trial.reason
    assert set(trial.facts.files) == {"onnx/model.onnx", "tokenizer.json", "config.json"}


def test_offline_it_is_what_the_cache_has(
    permille: Permille, hub: FakeHub, write: Write, onnx_folder: Path
) -> None:
    hub.add("models", "tiny/sentiment", onnx_folder)
    write()
    refused = permille("study", "check", "study.toml", code=2, HF_HUB_OFFLINE="1")
    assert "is not in the Hub's cache, and HF_HUB_OFFLINE is set" in refused.err
    assert not hub.asked
    permille("study", "check", "study.toml")
    asked = len(hub.asked)
    permille("study", "check", "study.toml", HF_HUB_OFFLINE="1")
    assert len(hub.asked) == asked


def test_a_pinned_commit_is_another_cell_than_a_later_one(
    permille: Permille, hub: FakeHub, write: Write, onnx_folder: Path
) -> None:
    first = hub.add("models", "tiny/sentiment", onnx_folder)
    write(f'revision = "{first}"')
    before = permille("study", "check", "study.toml", "--json").json["cells"]
    (onnx_folder / "config.json").write_text('{"id2label": {"0": "bad", "1": "good"}}')
    hub.add("models", "tiny/sentiment", onnx_folder)
    write()
    after = permille("study", "check", "study.toml", "--json").json["cells"]
    assert before[0]["id"] != after[0]["id"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('repo = "tiny/other"', "tiny/other (main): the Hub has no such model"),
        ('repo = "tiny model"', "tiny model (main) is not an id on the Hub (owner/name)"),
        ('revision = "v9"', "tiny/sentiment (v9): the Hub has no such revision of it"),
        ('repo = "tiny/gated"', "is gated: accept its conditions on its page on the Hub"),
        ('file = "big.onnx"', "has no ONNX model 'big.onnx'; available: model.onnx"),
        ('path = "rows.csv"\nrevision = "main"', "revision needs a model from the Hub"),
    ],
)
def test_what_cannot_be_had_is_one_line(
    permille: Permille, hub: FakeHub, write: Write, onnx_folder: Path, more: str, says: str
) -> None:
    hub.add("models", "tiny/sentiment", onnx_folder)
    hub.add("models", "tiny/gated", onnx_folder)
    hub.gated.add("tiny/gated")
    write(more)
    refused = permille("study", "check", "study.toml", code=2)
    assert says in refused.err
    assert refused.err.count("\n") == 1


def test_a_hub_that_is_down_is_said(permille: Permille, hub: FakeHub, write: Write) -> None:
    write()
    refused = permille("study", "check", "study.toml", code=2, HF_ENDPOINT="http://127.0.0.1:9")
    assert "the Hub cannot be reached" in refused.err
    assert "HF_HUB_OFFLINE=1" in refused.err
    assert refused.err.count("\n") == 1


def test_a_dry_run_fetches_nothing(
    permille: Permille, hub: FakeHub, write: Write, onnx_folder: Path
) -> None:
    hub.add("models", "tiny/sentiment", onnx_folder)
    write()
    plan = permille("run", "study.toml", "--dry-run", "--json").json
    assert plan["cells"] == 1
    assert not any("resolve" in path for path in hub.asked)


def test_a_dry_run_counts_the_trials_that_are_done(
    permille: Permille, powercap: Driver, hub: FakeHub, write: Write, onnx_folder: Path
) -> None:
    """They are of the commit in the cache, with the digests of its files."""
    hub.add("models", "tiny/sentiment", onnx_folder)
    write()
    permille("run", "study.toml")
    asked = len(hub.asked)
    plan = permille("run", "study.toml", "--dry-run", "--json").json
    assert (plan["trials"], plan["finished"]) == (1, 1)
    assert not any("resolve" in path for path in hub.asked[asked:])


TRANSFORMERS = 'labels = { good = "LABEL_1", bad = "LABEL_0" }'


@pytest.mark.campaign
def test_a_folder_of_transformers(
    permille: Permille, powercap: Driver, hub: FakeHub, write: Write, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers", reason="needs 'permille[torch]'")
    folder = tmp_path / "published"
    folder.mkdir()
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=4, intermediate_size=8, **small)
    model = transformers.BertForSequenceClassification(config)
    model.save_pretrained(folder)
    tokenizer = tiny_onnx.write_tokenizer(tmp_path, ["?", "good", "bad", "film"])
    transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tokenizer), unk_token="?", pad_token="?"
    ).save_pretrained(folder)
    (folder / "tf_model.h5").write_bytes(b"not wanted")
    commit = hub.add("models", "tiny/sentiment", folder)
    write(f'revision = "{commit}"\n{TRANSFORMERS}', backend="transformers")
    permille("run", "study.toml")
    trial = only_trial(tmp_path)
    assert trial.status == "done", trial.reason
    assert trial.facts.params == sum(p.numel() for p in model.parameters())
    assert trial.facts.architecture == "BertForSequenceClassification"
    assert "model.safetensors" in trial.facts.files
    assert "tf_model.h5" not in trial.facts.files


def test_a_pipeline_of_diffusers(
    permille: Permille, powercap: Driver, hub: FakeHub, tmp_path: Path
) -> None:
    pytest.importorskip("diffusers", reason="not installed: pip install 'permille[diffusers]'")
    from tests import tiny_models

    folder = tmp_path / "published"
    folder.mkdir()
    tiny_models.stable_diffusion(folder)
    hub.add("models", "tiny/sentiment", folder)
    (tmp_path / "prompts.csv").write_text("text\na cat\na dog\n")
    study = STUDY.format(backend="diffusers", more="steps = 1\nheight = 16\nwidth = 24")
    study = study.replace("text-classification", "text-to-image").replace("rows", "prompts")
    (tmp_path / "study.toml").write_text(study)
    permille("run", "study.toml")
    trial = only_trial(tmp_path)
    assert trial.status == "done", trial.reason
    images = trial.phases["query"].inferences
    assert images is not None
    assert trial.quality is None
    assert trial.counts["images"] == images
    assert trial.counts["pixels"] == 16 * 24 * images
    assert trial.facts.architecture == "StableDiffusionPipeline"
    assert any(name.startswith("unet/") for name in trial.facts.files)


@quickstart_assets.needed
def test_a_gguf_file_among_several(
    permille: Permille, powercap: Driver, hub: FakeHub, write: Write, tmp_path: Path
) -> None:
    real = assets.path("smollm2-135m") / "SmolLM2-135M-Instruct.Q4_1.gguf"
    name = ("models", "tiny/sentiment")
    hub.repos[name] = {"smol-q4_1.gguf": real.read_bytes(), "smol-q8_0.gguf": b"GGUF"}
    prompt = 'prompt = "{text} is"\nlabels = { good = " good", bad = " bad" }\nthreads = 1'
    study = STUDY.format(backend="llama", more=prompt).replace("task-specific", "general-purpose")
    (tmp_path / "study.toml").write_text(study)
    refused = permille("study", "check", "study.toml", code=2)
    assert (
        '2 GGUF files; choose one: file = "…"; available: smol-q4_1.gguf, smol-q8_0' in refused.err
    )
    (tmp_path / "study.toml").write_text(
        study.replace(prompt, prompt + '\nfile = "smol-q4_1.gguf"')
    )
    permille("run", "study.toml")
    trial = only_trial(tmp_path)
    assert trial.status == "done", trial.reason
    assert set(trial.facts.files) == {"smol-q4_1.gguf"}
    assert trial.facts.params == 134_515_008
    assert not any("q8_0" in path for path in hub.asked)


CANARY = b"cposix\nsystem\n(S'touch {flag}'\ntR."
"""A pickle whose reader runs a command."""


class TestNothingOfAModelIsExecuted:
    @pytest.fixture(autouse=True)
    def torch(self) -> None:
        pytest.importorskip("torch", reason="not installed: pip install 'permille[torch]'")

    @pytest.fixture
    def flag(self, tmp_path: Path) -> Path:
        return tmp_path / "executed"

    def test_a_pickle_is_not_even_downloaded(
        self, permille: Permille, hub: FakeHub, write: Write, flag: Path, tmp_path: Path
    ) -> None:
        folder = self.folder(tmp_path, pickled=flag)
        hub.add("models", "tiny/sentiment", folder)
        write(backend="transformers")
        refused = permille("study", "check", "study.toml", code=2)
        assert "pytorch_model.bin, a pickle, which can run code" in refused.err
        assert not any("resolve" in path for path in hub.asked)
        assert not flag.exists()

    @pytest.mark.campaign  # the same of a folder: tests/faults/test_models.py
    def test_an_allowed_pickle_is_read_as_weights_alone(
        self,
        permille: Permille,
        powercap: Driver,
        hub: FakeHub,
        write: Write,
        flag: Path,
        tmp_path: Path,
    ) -> None:
        hub.add("models", "tiny/sentiment", self.folder(tmp_path, pickled=flag))
        write("allow_pickle = true", backend="transformers")
        permille("run", "study.toml", "--allow-pickle", code=1)
        failed = only_trial(tmp_path)
        assert failed.status == "failed"
        # It was fetched and opened: any earlier failure would leave the flag away, too.
        assert "weights_only" in " ".join([failed.reason or "", *failed.last_lines])
        assert not flag.exists()

    def test_code_beside_the_weights_runs_only_when_asked_for_and_pinned(
        self,
        permille: Permille,
        powercap: Driver,
        hub: FakeHub,
        write: Write,
        flag: Path,
        tmp_path: Path,
    ) -> None:
        commit = hub.add("models", "tiny/sentiment", self.folder(tmp_path, coded=flag))
        write(backend="transformers")
        permille("run", "study.toml", code=1)
        assert not flag.exists()
        for more in (
            "trust_remote_code = true",
            'trust_remote_code = true\nrevision = "main"',
            f'trust_remote_code = true\nrevision = "{commit[:12]}"',
        ):
            write(more, backend="transformers")
            refused = permille("study", "check", "study.toml", code=2)
            assert "it needs the commit that you have read" in refused.err
        write('trust_remote_code = true\npath = "published"', backend="transformers")
        assert "needs a model from the Hub" in permille("run", "study.toml", code=2).err
        assert not flag.exists()
        # And that the canary sings at all:
        write(f'trust_remote_code = true\nrevision = "{commit}"', backend="transformers")
        permille("run", "study.toml", code=1)
        assert flag.exists()

    def folder(
        self, tmp_path: Path, *, pickled: Path | None = None, coded: Path | None = None
    ) -> Path:
        folder = tmp_path / "published"
        folder.mkdir()
        tiny_onnx.write_tokenizer(folder, ["?", "good", "bad", "film"])
        config: dict[str, Any] = {
            "model_type": "bert",
            "architectures": ["BertForSequenceClassification"],
        }
        if pickled is not None:
            content = CANARY.replace(b"{flag}", str(pickled).encode())
            (folder / "pytorch_model.bin").write_bytes(content)
        if coded is not None:
            code = f"open({str(coded)!r}, 'w')\n"
            (folder / "modeling_canary.py").write_text(code)
            config |= {
                "model_type": "canary",
                "auto_map": {"AutoConfig": "modeling_canary.CanaryConfig"},
            }
            header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
            content = len(header).to_bytes(8, "little") + header + bytes(4)
            (folder / "model.safetensors").write_bytes(content)
        (folder / "config.json").write_text(json.dumps(config))
        return folder


def test_a_gate_finds_the_trials_of_a_model_from_the_hub(
    permille: Permille, powercap: Driver, hub: FakeHub, write: Write, onnx_folder: Path
) -> None:
    """They are those of the commit that the run recorded, with the digests of its files."""
    hub.add("models", "tiny/sentiment", onnx_folder)
    write()
    for store in ("base.db", "head.db"):
        permille("run", "study.toml", "--store", store)
    stores = ("--against", "base.db", "--store", "head.db")
    # One trial on each side has no interval.
    asked = len(hub.asked)
    (cell,) = permille("gate", "study.toml", *stores, "--json", code=5).json["cells"]
    assert len(hub.asked) == asked
    assert (cell["model"], cell["base_trials"], cell["head_trials"]) == ("tiny/sentiment", 1, 1)
