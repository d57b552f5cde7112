from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from permille.importers import Options, Tally
from permille.importers.power_hungry import study
from permille.importers.power_hungry.importer import IDLE_GPU_W, OTHER, STUDY, importer
from permille.importers.reading.files import Source
from permille.records.recording import Provenance
from permille.records.trial import Trial
from tests.importers.codecarbon_files import RUN_COLUMNS, TASK_COLUMNS, row

pytestmark = pytest.mark.slow

TASKS = TASK_COLUMNS["2.3.1"]
COMPLETE = RUN_COLUMNS["2.3.1"]


def base(run_id: str, model: str, gpu_kwh: float = 0.0050) -> str:
    """A run of 20 s: its idle GPUs are taken to need 7 x 55.4 W x 20 s = 0.002154 kWh."""
    common = {"run_id": run_id, "project_name": model, "gpu_count": "8"}
    energies = {"gpu_energy": repr(gpu_kwh), "energy_consumed": repr(gpu_kwh + 0.0005)}
    return (
        TASKS
        + "\n"
        + row(TASKS, task_name="load model", **common, **energies)
        + row(TASKS, task_name="query model", **common, **energies)
    )


def complete(*runs: tuple[str, str]) -> str:
    return COMPLETE + "\n" + "".join(row(COMPLETE, run_id=r, project_name=m) for r, m in runs)


def archive(path: Path, members: dict[str, str]) -> Path:
    with tarfile.open(path, "w:xz") as out:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            data = content.encode()
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return path


def read(path: Path) -> tuple[dict[str, Trial], Tally]:
    tally = Tally()
    trials = {t.uid: t for t in importer.trials(Source(path), tally, Options())}
    return trials, tally


@pytest.fixture
def small(tmp_path: Path) -> Path:
    runs = {
        "a": "distilbert-base-uncased-finetuned-sst-2-english",
        "b": "google/flan-t5-base",
        "c": "bigscience/bloomz-560m",
        "d": "bigscience/bloom-560m",
        "e": "microsoft/resnet-50",
        "f": "microsoft/resnet-50",
        "g": "sshleifer/distilbart-cnn-6-6",
        "h": "stabilityai/stable-diffusion-2-1-base",
        "i": "gpt2",
        "j": "distilbert-base-uncased-finetuned-sst-2-english",
    }
    members = {
        f"./emissions/base/emissions_base_{run}.csv": base(run, model)
        for run, model in runs.items()
    }

    def add(name: str, *ids: str) -> None:
        members[f"./emissions/complete/{name}.csv"] = complete(*((r, runs[r]) for r in ids))

    add("text_classif_sst2", "a", "j")
    add("zeroshot_sentiment_sst2", "b", "d")
    add("zeroshot_sentiment_sst2_bloomz", "c")
    add("image_class_imagenet", "e")
    add("image_class_imagenet_resized", "f")
    add("summarize_xsum_15", "g")
    add("tti_diffusiondb", "h")
    members["./model_parameters.csv"] = "model_name,num_parameters\ngoogle/flan-t5-base,222903552\n"
    members["./performance.csv"] = (
        'model,task,type,sst2 (acc),imdb (acc),tomatoes (acc),sciq (acc),squad (f1),"squad_v2 (f1,'
        ' has answer)",samsum (rouge),xsum (rouge),cnn (rouge)\n'
        "google/flan-t5-base,sentiment,seq2seq,0.9289,0.9466,0.8846,,,,,,\n"
        "sshleifer/distilbart-xsum-12-6,summarization,seq2seq-finetuned,,,,,,,0.2,0.45,0.23\n"
    )
    members["./lengths/complete/sst2_flan.csv"] = (
        "Input,Output,model,dataset\n" + "28,1,google/flan-t5-base,sst\n" * 1000
    )
    return archive(tmp_path / "raw.tar.xz", members)


def test_the_papers_set_and_the_rest(small: Path) -> None:
    trials, tally = read(small)
    assert tally.bad == []
    assert {t.study for t in trials.values()} == {STUDY, OTHER}
    in_paper = {uid for uid, t in trials.items() if t.study == STUDY}
    assert in_paper == {f"{STUDY}:{run}" for run in "abcfgj"}


@pytest.mark.parametrize("params", ["1e300", "1.5", "-1", ""])
def test_a_number_of_parameters_that_is_none_is_named(tmp_path: Path, params: str) -> None:
    file = "./model_parameters.csv"
    members = {file: f"model_name,num_parameters\ngpt2,{params}\n"}
    trials, tally = read(archive(tmp_path / "raw.tar.xz", members))
    assert trials == {}
    assert [(bad.row, "num_parameters" in bad.reason) for bad in tally.bad] == [(2, True)]


def test_what_is_too_much_for_the_study_is_left_out_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "MOST_HELD", 2)
    models = [f"m{number}" for number in range(4)]
    lengths = "".join(f"28,1,{model},sst\n" for model in models)
    members = {
        "./emissions/complete/tti_diffusiondb.csv": complete(*((m, m) for m in models)),
        "./lengths/complete/sst2_flan.csv": "Input,Output,model,dataset\n" + lengths,
        "./model_parameters.csv": "model_name,num_parameters\n"
        + "".join(f"{model},7\n" for model in models),
    }
    trials, tally = read(archive(tmp_path / "raw.tar.xz", members))
    assert trials == {}
    assert [(bad.file, bad.row) for bad in tally.bad] == [(name[2:], 4) for name in members]
    assert {bad.reason for bad in tally.bad} == {"more than 2 of them: not the study's data"}


def test_the_folder_of_the_emissions_alone_tells_the_places_too(
    tmp_path: Path, small: Path
) -> None:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    subprocess.run(["tar", "-xf", small, "-C", folder], check=True)
    whole, _ = read(small)
    alone, _ = read(folder / "emissions")
    assert {uid: t.cell for uid, t in alone.items()} == {uid: t.cell for uid, t in whole.items()}


def test_what_a_run_is(small: Path) -> None:
    trials, _ = read(small)
    flan = trials[f"{STUDY}:b"]
    assert flan.cell.task == "text-classification"
    assert flan.cell.dataset == "SST2"
    assert flan.cell.category == "general-purpose"
    assert flan.facts.params == 222_903_552
    assert flan.facts.architecture == "Flan-T5"
    assert flan.quality is not None
    assert (flan.quality.metric, flan.quality.value, flan.quality.n) == ("accuracy", 0.9289, None)
    assert flan.counts == {"input_length": 28_000, "output_length": 1000}
    assert flan.phases["query"].inferences == 1000
    assert flan.phases["load"].inferences is None
    assert [trials[f"{STUDY}:{run}"].repeat for run in "aj"] == [0, 1]
    assert trials[f"{STUDY}:a"].cell == trials[f"{STUDY}:j"].cell


def test_the_mislabelled_runs_get_their_own_model(small: Path) -> None:
    trials, _ = read(small)
    bart = trials[f"{STUDY}:g"]
    assert bart.cell.model == "sshleifer/distilbart-xsum-12-6"
    assert "logged as sshleifer/distilbart-cnn-6-6" in bart.notes
    assert bart.quality is not None
    assert bart.quality.value == 0.45


def test_a_run_of_no_complete_file_is_kept_apart(small: Path) -> None:
    trials, _ = read(small)
    stray = trials[f"{STUDY}:i"]
    assert stray.study == OTHER
    assert (stray.cell.task, stray.cell.dataset, stray.cell.category) == ("unknown",) * 3
    assert stray.phases["query"].inferences is None
    assert trials[f"{STUDY}:e"].cell.settings == {"set": "image_class_imagenet"}


def test_the_gpus_are_split_into_one_in_use_and_seven_idle(small: Path) -> None:
    trials, _ = read(small)
    query = trials[f"{STUDY}:a"].phases["query"]
    active, idle = query.domains["gpu:active"], query.domains["gpu:idle"]
    assert idle.energy_j == pytest.approx(7 * IDLE_GPU_W * 20)
    assert active.energy_j + idle.energy_j == pytest.approx(0.0050 * 3.6e6, rel=1e-12)
    assert (active.in_use, active.provenance) == (True, Provenance.MODELLED)
    assert (idle.in_use, idle.provenance) == (False, Provenance.ESTIMATED)
    assert "gpu" not in query.domains


def test_a_reading_below_that_of_idle_gpus_is_a_problem(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "raw.tar.xz",
        {"emissions/base/emissions_base_a.csv": base("a", "gpt2", gpu_kwh=0.0010)},
    )
    trials, _ = read(path)
    query = trials[f"{STUDY}:a"].phases["query"]
    assert set(query.domains) == {"cpu:0", "dram:0"}
    assert "less than the assumed power of seven idle" in query.problems["gpu:active"].reason


def test_unknown_files_and_tasks_are_named(tmp_path: Path) -> None:
    odd = TASKS + "\n" + row(TASKS, task_name="make tea", run_id="a")
    members = {
        "emissions/base/emissions_base_a.csv": odd,
        "emissions/complete/poetry_sonnets.csv": complete(("a", "m")),
    }
    trials, tally = read(archive(tmp_path / "raw.tar.xz", members))
    assert trials == {}
    assert [bad.file for bad in tally.bad] == [
        "emissions/complete/poetry_sonnets.csv",
        "emissions/base/emissions_base_a.csv",
    ]
