"""A model's files are hostile: a canary that any of them could run is never run."""

from __future__ import annotations

import json
import os
import pickle  # noqa: TID251 - to make the canaries
from pathlib import Path
from typing import Any

import pytest

from tests import tiny_onnx
from tests.conftest import Permille
from tests.faults.conftest import kept
from tests.powercap import Driver

pytestmark = pytest.mark.slow

STUDY = """
[study]
name = "canary"
inferences = 2
repeats = 1
warmup = 0
idle_s = 0

[[models]]
id = "canary"
backend = "{backend}"
category = "{category}"
{more}

[[tasks]]
task = "text-classification"
datasets = [{{ path = "rows.jsonl", text = "text", label = "label" }}]
"""


class Canary:
    """Unpickled, it leaves a file behind."""

    def __init__(self, sung: Path) -> None:
        self.sung = sung

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.sung),)


@pytest.fixture
def sung(tmp_path: Path) -> Path:
    """What is there once a canary was run."""
    return tmp_path / "sung"


def _study(folder: Path, more: str, backend: str = "transformers", general: bool = False) -> str:
    rows = [{"text": word, "label": word} for word in ("good", "bad")]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    category = "general-purpose" if general else "task-specific"
    more += '\nprompt = "{text}:"' if general else ""
    path = folder / "study.toml"
    path.write_text(STUDY.format(backend=backend, category=category, more=more))
    return str(path)


def test_the_canary_sings_where_it_is_let(tmp_path: Path, sung: Path) -> None:
    pickle.loads(pickle.dumps(Canary(sung)))
    assert sung.is_dir()


def _of_the_hub(folder: Path, canary: bytes, weights: str) -> Path:
    """A folder of transformers' form, whose code and whose pickle are canaries."""
    model = folder / "model"
    model.mkdir()
    tiny_onnx.write_tokenizer(model, ["[UNK]", "good", "bad"])
    config = {
        "model_type": "bert", "vocab_size": 3, "hidden_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 1, "intermediate_size": 8, "id2label": {"0": "bad", "1": "good"},
    }  # fmt: skip
    (model / "config.json").write_text(json.dumps(config))
    (model / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    (model / weights).write_bytes(canary)
    return model


def test_a_pickle_is_refused_by_name_and_not_even_opened(
    permille: Permille, tmp_path: Path, sung: Path
) -> None:
    pytest.importorskip("torch")
    _of_the_hub(tmp_path, pickle.dumps(Canary(sung)), "pytorch_model.bin")
    study = _study(tmp_path, 'path = "model"')
    for command in (["run", study], ["run", study, "--allow-pickle"], ["study", "check", study]):
        assert "pytorch_model.bin is a pickle" in permille(*command, code=2).err
    assert not sung.exists()


def test_a_study_file_alone_cannot_allow_a_pickle(
    permille: Permille, powercap: Driver, tmp_path: Path, sung: Path
) -> None:
    """And where both the file and the user do, torch reads tensors out of it and runs nothing."""
    pytest.importorskip("torch")
    _of_the_hub(tmp_path, pickle.dumps(Canary(sung)), "pytorch_model.bin")
    study = _study(tmp_path, 'path = "model"\nallow_pickle = true')
    refused = permille("run", study, code=2)
    assert "add --allow-pickle" in refused.err
    assert not (tmp_path / "permille.db").exists()
    allowed = permille("run", study, "--allow-pickle", code=1)
    assert "WARNING: model 'canary' is read from a pickle" in allowed.err
    (failed,) = kept(tmp_path)
    assert failed.status == "failed"
    assert "weights_only" in " ".join([failed.reason or "", *failed.last_lines])
    assert not sung.exists()


def test_code_that_comes_with_a_model_is_not_run(
    permille: Permille, powercap: Driver, tmp_path: Path, sung: Path
) -> None:
    pytest.importorskip("torch")
    no_tensors = (2).to_bytes(8, "little") + b"{}"
    model = _of_the_hub(tmp_path, no_tensors, "model.safetensors")
    (model / "evil.py").write_text(f"import os\nos.mkdir({str(sung)!r})\n")
    own = {"AutoConfig": "evil.C", "AutoModelForSequenceClassification": "evil.M"}
    # Of a kind that transformers knows; one that it does not know: tests/hub/test_models.py.
    (model / "config.json").write_text(json.dumps({"model_type": "bert", "auto_map": own}))
    (model / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": "evil.T"}}')
    permille("run", _study(tmp_path, 'path = "model"'), code=1)
    assert [trial.status for trial in kept(tmp_path)] == ["failed"]
    assert not sung.exists()
    study = _study(tmp_path, 'path = "model"\ntrust_remote_code = true')
    assert "trust_remote_code" in permille("run", study, code=2).err
    assert not sung.exists()


@pytest.mark.parametrize(
    ("backend", "name", "general"),
    [
        ("onnx", "model.onnx", False),
        ("llama", "model.gguf", True),
        ("transformers", "model.safetensors", False),
    ],
)
def test_a_pickle_under_another_formats_name_is_not_run(
    permille: Permille, powercap: Driver, tmp_path: Path, sung: Path, backend: str, name: str,
    general: bool,
) -> None:  # fmt: skip
    if backend == "transformers":
        pytest.importorskip("torch")
    model = _of_the_hub(tmp_path, pickle.dumps(Canary(sung)), name)
    path = "model/model.gguf" if backend == "llama" else "model"
    finished = permille("run", _study(tmp_path, f'path = "{path}"', backend, general), code=None)
    assert finished.code in (1, 2)
    assert "Traceback" not in finished.err
    assert not [trial for trial in kept(tmp_path) if trial.status == "done"]
    assert not sung.exists()
    assert model.is_dir()
