"""Replicas through the whole run: one small model of every task of the study, end to end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from permille.cli import dispatch
from permille.errors import ModelError, StudyError
from permille.store import Store
from permille.study.plan import file
from permille.study.plan.grid import make
from tests.campaigns import size
from tests.optional import later
from tests.study import in_process

pytestmark = pytest.mark.slow

later("torch", "torch")
later("diffusers", "diffusers")

HEAD = """
[study]
name = "replicas"
inferences = 2
repeats = 1
warmup = 0
idle_s = 0.1
weights = "replica"
"""
SMALL = {
    "text-generation": ("distilgpt2", "WikiText"),
    "image-classification": ("microsoft/resnet-18", "CIFAR10"),
    "text-classification": ("distilbert-base-uncased-finetuned-sst-2-english", "SST2"),
    "question-answering": ("distilbert-base-cased-distilled-squad", "SQuAD"),
    "fill-mask": ("distilbert-base-uncased", "C4"),
    "token-classification": ("elastic/distilbert-base-cased-finetuned-conll03-english", "WikiANN"),
    "object-detection": ("hustvl/yolos-tiny", "CPPE-5"),
    "summarization": ("ainize/bart-base-cnn", "XSum"),
    "image-to-text": ("microsoft/git-base", "COCO"),
    "text-to-image": ("segmind/tiny-sd", "SD Prompts"),
}


def model(model_id: str, task: str, category: str = "task-specific", more: str = "") -> str:
    backend = "diffusers" if task == "text-to-image" else "transformers"
    return (
        f'[[models]]\nid = "{model_id}"\nbackend = "{backend}"\ncategory = "{category}"\n'
        f'tasks = ["{task}"]\nthreads = 1\n{more}\n'
    )


def pair(task: str, dataset: str) -> str:
    return f'[[tasks]]\ntask = "{task}"\ndatasets = ["{dataset}"]\n'


def of_each(tasks: Iterable[str]) -> str:
    """A study of the small model of each of these tasks."""
    drawn = "steps = 1\nheight = 64\nwidth = 64"
    named = [(task, *SMALL[task]) for task in tasks]
    return (
        HEAD
        + "".join(
            model(name, task, more=drawn if task == "text-to-image" else "")
            for task, name, _ in named
        )
        + "".join(pair(task, dataset) for task, _, dataset in named)
    )


def check_tokens(task: str, counts: Mapping[str, float], inferences: int | None) -> None:
    """Answers have the length of the dataset's, and a text to sum up that of its articles."""
    assert inferences is not None
    if task in ("text-generation", "summarization"):
        assert counts["tokens_out"] == inferences * 10
    if task == "summarization":
        assert counts["tokens_in"] == inferences * (round(1.3 * 49.85) + 1)


@pytest.mark.parametrize("task", SMALL)
def test_the_worker_runs_a_small_model_of_every_task(task: str, tmp_path: Path) -> None:
    """In this process, which imports torch once."""
    text = of_each([task]).replace("inferences = 2", "inferences = 1")
    plan = make(file.parse(text, where="study.toml", folder=tmp_path))
    (planned,) = plan.cells
    query, result = in_process.work(plan, planned)
    assert query.span.attributes["inferences"] == 1
    assert result.quality is None
    assert result.facts.weights == "replica"
    assert "replica: energy and time only" in result.notes
    check_tokens(task, result.counts, query.span.attributes["inferences"])


@pytest.mark.campaign
def test_a_small_model_of_every_task_runs_end_to_end(tmp_path: Path, capsys: Any) -> None:
    """Of one task in `make test`; what the worker does with each is above."""
    tasks = list(SMALL)[: size(1, len(SMALL))]
    path, store = tmp_path / "study.toml", tmp_path / "store.db"
    path.write_text(of_each(tasks))
    status = dispatch(["run", str(path), "--store", str(store), "--json"])
    printed = capsys.readouterr()
    rows = json.loads(printed.out)["rows"]
    assert (status, [row["reasons"] for row in rows]) == (0, [[]] * len(tasks))
    assert {row["weights"] for row in rows} == {"replica"}
    assert f"{len(tasks)}/{len(tasks)} cells" in printed.err
    with Store(store) as opened:
        trials = {trial.cell.task: trial for trial in opened.trials()}
    assert set(trials) == set(tasks)
    for task, trial in trials.items():
        assert trial.quality is None
        assert trial.facts.weights == "replica"
        assert "replica: energy and time only" in trial.notes
        check_tokens(task, trial.counts, trial.phases["query"].inferences)


def test_a_general_purpose_model_has_a_prompt_for_each_task(tmp_path: Path) -> None:
    prompts = (
        "[models.prompt]\n"
        'text-classification = "Is this kind or not? {text}\\nMood:"\n'
        'question-answering = "Text: {context}\\nQuestion: {question}\\nAnswer:"\n'
    )
    name = "bigscience/bloomz-560m"
    text = (
        HEAD
        + f'[[models]]\nid = "{name}"\nbackend = "transformers"\ncategory = "general-purpose"\n'
        + prompts
        + pair("text-classification", "SST2")
        + pair("question-answering", "SciQ")
    )
    plan = make(file.parse(text, where="study.toml", folder=tmp_path))
    asked = {planned.cell.task: planned.model.prompt for planned in plan.cells}
    assert asked["text-classification"] != asked["question-answering"]
    assert all(asked.values())
    with pytest.raises(ModelError, match="needs a prompt"):
        make(file.parse(text + pair("summarization", "XSum"), where="s", folder=tmp_path))
    wrong = text.replace("\nquestion-answering =", "\nquestion-answring =")
    with pytest.raises(StudyError, match="did you mean 'question-answering'"):
        make(file.parse(wrong, where="s", folder=tmp_path))


def test_a_replica_is_another_cell_than_the_model_itself(tmp_path: Path) -> None:
    made = HEAD + model("distilgpt2", "text-generation") + pair("text-generation", "WikiText")
    plan = make(file.parse(made, where="s", folder=tmp_path))
    assert plan.cells[0].cell.settings["weights"] == "replica"
    assert plan.cells[0].cell.settings["max_new_tokens"] == 10


def test_an_architecture_is_named_where_the_id_does_not_say_it(tmp_path: Path) -> None:
    made = model("mine", "text-generation", more='architecture = "distilgpt2"')
    text = HEAD + made + pair("text-generation", "WikiText")
    plan = make(file.parse(text, where="s", folder=tmp_path))
    assert plan.cells[0].cell.settings["architecture"] == "distilgpt2"
    real = text.replace('weights = "replica"', "")
    with pytest.raises(StudyError, match="architecture is only for replicas"):
        make(file.parse(real, where="s", folder=tmp_path))
    unknown = text.replace('"distilgpt2"', '"distilgpt3"')
    with pytest.raises(ModelError, match="did you mean 'distilgpt2'"):
        make(file.parse(unknown, where="s", folder=tmp_path))


def test_a_model_of_the_hub_is_replicated_by_its_repo(tmp_path: Path) -> None:
    made = model("mine", "text-generation", more='repo = "distilbert/distilgpt2"\nrevision = "v1"')
    text = HEAD + made + pair("text-generation", "WikiText")
    settings = make(file.parse(text, where="s", folder=tmp_path)).cells[0].cell.settings
    assert settings["architecture"] == "distilbert/distilgpt2"
    assert "revision" not in settings


def test_a_backend_that_builds_none_is_refused(tmp_path: Path) -> None:
    text = (
        HEAD
        + '[[models]]\nid = "m"\nbackend = "python"\ncategory = "task-specific"\ncallable = "m:f"\n'
        + pair("text-classification", "SST2")
    )
    with pytest.raises(StudyError, match="backend python builds no replicas"):
        make(file.parse(text, where="s", folder=tmp_path))


def test_another_word_for_weights_is_refused(tmp_path: Path) -> None:
    text = HEAD.replace('"replica"', '"random"') + model("gpt2", "text-generation")
    with pytest.raises(StudyError, match=r"'random'.*'replica'"):
        file.parse(text + pair("text-generation", "WikiText"), where="s", folder=tmp_path)
