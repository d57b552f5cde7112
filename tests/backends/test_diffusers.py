"""Images by a tiny pipeline of Stable Diffusion's parts, made here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from permille.backends.diffusers.plugin import backend
from permille.errors import ModelError
from permille.workload.outputs import Output
from permille.workload.requests import Draw, Text
from permille.workload.specs import ModelSpec
from tests import tiny_models as tiny
from tests.optional import later

pytestmark = pytest.mark.slow

torch = later("torch", "torch")
later("diffusers", "diffusers")
safetensors_torch = later("safetensors.torch", "torch")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline")
    tiny.stable_diffusion(folder)
    return folder


def spec(folder: Path, **settings: Any) -> ModelSpec:
    own = {"path": str(folder), "steps": 2, **settings}
    return ModelSpec(id="m", backend="diffusers", category="task-specific", settings=own)


def test_an_image_is_made_and_counted(pipeline: Path) -> None:
    model: Any = backend.load(spec(pipeline, height=24, width=32, batch_size=2), "text-to-image")
    one = model.read(model.infer(Draw(prompt="a good film")))
    assert one == Output(tokens_in=5, counted={"images": 1.0, "pixels": 24.0 * 32})
    both = [Draw(prompt="a good film"), Draw(prompt="ada lives in paris and works for acme")]
    found = model.read_batch(model.infer_batch(both))
    assert found == [one, Output(tokens_in=8, counted={"images": 1.0, "pixels": 24.0 * 32})]
    assert model.device == "cpu"
    assert model.facts.architecture == "StableDiffusionPipeline"
    assert model.facts.params > 1000
    sizes = [file.stat().st_size for file in pipeline.glob("*/*.safetensors")]
    assert model.facts.size_bytes == sum(sizes)
    model.close()


def test_the_steps_are_those_asked_for(pipeline: Path) -> None:
    model: Any = backend.load(spec(pipeline, steps=3), "text-to-image")
    model.infer(Draw(prompt="film"))
    assert model._pipeline.scheduler.num_inference_steps == 3


def test_only_prompts_are_taken(pipeline: Path) -> None:
    model = backend.load(spec(pipeline), "text-to-image")
    with pytest.raises(ModelError, match="does not support a Text request"):
        model.infer(Text(text="x"))


def test_a_size_that_the_pipeline_refuses_is_one_line(pipeline: Path) -> None:
    model = backend.load(spec(pipeline, height=30, width=30), "text-to-image")
    with pytest.raises(ModelError, match="divisible by 8") as caught:
        model.infer(Draw(prompt="film"))
    assert "\n" not in str(caught.value)


def test_an_allowed_pickle_is_read_only_where_there_are_no_safetensors(
    pipeline: Path, tmp_path: Path
) -> None:
    shutil.copytree(pipeline, tmp_path, dirs_exist_ok=True)
    one = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(safetensors_torch.load_file(one), one.with_suffix(".bin"))
    one.unlink()
    model: Any = backend.load(spec(tmp_path, allow_pickle=True), "text-to-image")
    assert model.read(model.infer(Draw(prompt="film"))).counted["images"] == 1.0


# --- refused -----------------------------------------------------------------------------


def _no_index(folder: Path) -> None:
    (folder / "model_index.json").unlink()


def _foreign(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"unet": ["os", "system"]}))


def _own_code(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "evil.py").write_text("raise SystemExit('it ran')")
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": ["evil", "E"]}))


def _pickle(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04")


def _damaged(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"\xff" * 99)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (_no_index, "no such file"),
        (_foreign, "unet is from 'os'; only parts of diffusers"),
        (_own_code, "does not name a diffusers pipeline"),
        (_pickle, r"unet/diffusion_pytorch_model\.bin is a pickle, .* allow_pickle = true"),
        (_damaged, "cannot be loaded"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    pipeline: Path, tmp_path: Path, harm: Callable[[Path], None], says: str
) -> None:
    folder = tmp_path / "pipeline"
    shutil.copytree(pipeline, folder)
    harm(folder)
    with pytest.raises(ModelError, match=says) as caught:
        backend.load(spec(folder), "text-to-image")
    assert "\n" not in str(caught.value)


def test_code_beside_a_part_is_never_run(pipeline: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pipeline"
    shutil.copytree(pipeline, folder)
    canary = tmp_path / "it-ran"
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "unet" / "evil.py").write_text(f"open({str(canary)!r}, 'w')")
    (folder / "model_index.json").write_text(json.dumps(index | {"unet": ["evil", "Evil"]}))
    with pytest.raises(ModelError, match="unet is from 'evil'"):
        backend.load(spec(folder), "text-to-image")
    assert not canary.exists()


def test_one_side_alone_would_be_passed_over(pipeline: Path) -> None:
    with pytest.raises(ModelError, match="both height and width"):
        backend.check(spec(pipeline, height=32), "text-to-image")


@pytest.mark.parametrize("key", ["steps", "height", "width", "batch_size", "threads"])
def test_a_setting_out_of_range(pipeline: Path, key: str) -> None:
    with pytest.raises(ModelError, match=f"{key} must be at least 1"):
        backend.check(spec(pipeline, **{key: 0}), "text-to-image")
