"""Models scored by a task of lm-eval: the report as a quality, what is refused, and a real run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from permille import plugins
from permille.analysis.quality import compared, interval
from permille.errors import ModelError, PermilleError
from permille.metrics import metric_of, unpack
from permille.study.plan import file
from permille.study.plan.execution import executions
from permille.study.plan.grid import make
from permille.study.worker.harness import harness_score, score_of
from permille.workload.specs import HarnessTask, ModelSpec
from tests.conftest import Permille
from tests.integrations.optional import needs
from tests.powercap import Driver

REPORT: dict[str, Any] = {
    "results": {
        "quiz": {
            "alias": "quiz", "sample_len": 4,
            "acc,none": 0.75, "acc_stderr,none": 0.25,
            "bleu,none": 31.5, "bleu_stderr,none": "N/A",
            "brier_score,none": 0.2, "brier_score_stderr,none": "N/A",
            "exact_match,strict": 0.5, "exact_match_stderr,strict": 0.29,
            "exact_match,flexible": 1.0, "exact_match_stderr,flexible": 0.0,
        }
    },
    "higher_is_better": {
        "quiz": {"acc": True, "bleu": True, "brier_score": False, "exact_match": True}
    },
    "n-samples": {"quiz": {"original": 9, "effective": 4}},
    "n-shot": {"quiz": 2},
    "versions": {"quiz": 1.0},
    "samples": {
        "quiz": [
            {"doc_id": i, "doc_hash": f"hash {i}", "filter": filter_, "brier_score": (i, 0.5),
             "acc": i != 0, "exact_match": 1.0 if filter_ == "flexible" else i % 2}
            for filter_ in ("none", "strict", "flexible") for i in range(4)
        ]
    },
}  # fmt: skip


def quality(metric: str | None = None, report: dict[str, Any] = REPORT) -> Any:
    return score_of(report, HarnessTask(task="quiz", metric=metric), "0.4").quality


def test_the_first_metric_is_the_quality_with_the_score_of_each_sample() -> None:
    score = score_of(REPORT, HarnessTask(task="quiz"), "0.4")
    found = score.quality
    assert (found.metric, found.value, found.n) == ("acc (lm-eval quiz)", 0.75, 4)
    assert found.standard_error == 0.25
    assert found.others["exact_match,strict"] == 0.5
    assert interval(found).low == pytest.approx(0.301, abs=0.001)  # Wilson's, of 3 of 4
    assert "2-shot, 4 of its 9 samples" in score.note
    assert "version 1.0" in score.note
    assert compared(found, found).test == "mcnemar"


@pytest.mark.parametrize(
    ("metric", "name", "lower"),
    [
        ("brier_score", "brier_score (lm-eval quiz, lower is better)", True),
        ("exact_match", "exact_match (lm-eval quiz, strict)", False),
        ("exact_match,flexible", "exact_match (lm-eval quiz, flexible)", False),
        ("bleu", "bleu, 0 to 100 (lm-eval quiz)", False),
    ],
)
def test_the_direction_is_lm_evals(metric: str, name: str, lower: bool) -> None:
    found = quality(metric)
    assert found.metric == name
    assert metric_of(name).lower_is_better is lower


def test_a_direction_against_the_words_of_the_name_is_in_the_name() -> None:
    report = json.loads(json.dumps(REPORT))
    report["higher_is_better"]["quiz"]["acc"] = False
    found = quality("acc", report)
    assert found.metric == "acc (lm-eval quiz, lower is better)"
    better = json.loads(json.dumps(REPORT))
    better["results"]["quiz"]["acc,none"], better["higher_is_better"] = (
        0.5,
        report["higher_is_better"],
    )
    assert compared(quality("acc", better), found).level != "worse"


def test_a_score_that_is_no_mean_of_its_samples_has_lm_evals_error_alone() -> None:
    found = quality("brier_score")
    assert (found.n, found.scores, found.standard_error) == (4, b"", None)
    assert interval(found).low is None  # lm-eval gives no error: there is no interval


@pytest.mark.parametrize(
    ("metric", "says"), [("accc", "did you mean 'acc'"), ("edits", "no metric 'edits'")]
)
def test_a_metric_that_the_task_lacks_is_refused(metric: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        quality(metric)


def test_a_score_that_is_no_number_and_an_unknown_direction_are_refused() -> None:
    broken = json.loads(json.dumps(REPORT).replace("0.75", "NaN"))
    with pytest.raises(ModelError, match="no metric 'acc'"):
        quality("acc", broken)
    undirected = json.loads(json.dumps(REPORT).replace('"acc": true', '"acc": null'))
    with pytest.raises(ModelError, match="set higher_is_better"):
        quality("acc", undirected)


TASK = """
task: parity
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: [good, bad]
doc_to_target: "{{{{answer}}}}"
metric_list: [{{metric: acc, higher_is_better: true}}]
"""
GROUP = "group: both\ntask: [parity]\n"
STUDY = """
[study]
name = "harness"
inferences = 2
repeats = 2
warmup = 0
idle_s = 0
reference = false

[[models]]
id = "tiny"
backend = "{backend}"
category = "task-specific"
{own}

[[tasks]]
task = "{task}"
datasets = [{{ path = "inbox.jsonl", text = "body"{label} }}]
quality = {quality}
"""
LOCAL = '{ task = "lm-eval:parity", include_path = "harness", limit = 3 }'


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a decoder, texts, and a task of lm-eval with its data."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    folder = tmp_path / "harness"
    folder.mkdir()
    rows = tmp_path / "rows.jsonl"
    questions = [{"question": word, "answer": i % 2} for i, word in enumerate(("ada", "film") * 2)]
    rows.write_text("".join(json.dumps(row) + "\n" for row in questions))
    (folder / "parity.yaml").write_text(TASK.format(rows=rows))
    (folder / "both.yaml").write_text(GROUP)
    texts = [{"body": "a good film", "label": "good"}, {"body": "ada lives", "label": "bad"}]
    (tmp_path / "inbox.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    return tmp_path


def written(
    folder: Path, quality: str, backend: str = "transformers", own: str = 'path = "model"',
    task: str = "text-generation", label: str = "",
) -> Path:  # fmt: skip
    path = folder / "study.toml"
    path.write_text(STUDY.format(backend=backend, own=own, quality=quality, task=task, label=label))
    return path


def decoder(folder: Path) -> None:
    import transformers

    from tests import tiny_models

    tiny_models.seed()
    tiny_models.tokenizer(folder / "model", bos_token="[CLS]", eos_token="[SEP]")
    config = transformers.GPT2Config(
        vocab_size=len(tiny_models.WORDS), n_embd=16, n_layer=1, n_head=2, n_positions=48,
        bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(folder / "model")


@pytest.mark.parametrize(
    ("quality", "says"),
    [
        ('"arc_easy"', "not a task of lm-eval; write quality ="),
        ('"lm-eval:"', "not a task of lm-eval"),
        ("3", "quality: expected a table, got a whole number"),
        ('{ task = "lm-eval:parity", limt = 3 }', "limt"),
        ('{ task = "lm-eval:parity", limit = 0 }', "limit"),
    ],
)
def test_a_wrong_quality_is_one_line(study: Path, quality: str, says: str) -> None:
    with pytest.raises(PermilleError, match=says) as raised:
        file.read(written(study, quality))
    assert "\n" not in str(raised.value)


@needs("lm_eval")
@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the harness's own
class TestWithTheLibrary:
    @pytest.mark.parametrize(
        ("quality", "says"),
        [
            (LOCAL.replace("parity", "party"), "has no task 'party'; did you mean 'parity'"),
            (LOCAL.replace("parity", "both"), "both is a group of tasks"),
            (LOCAL.replace('"harness"', '"/etc"'), "outside the study's folder"),
            (LOCAL.replace('"harness"', '"inbox.jsonl"'), "is not a folder"),
        ],
    )
    def test_what_is_not_there_is_refused(self, study: Path, quality: str, says: str) -> None:
        decoder(study)
        with pytest.raises(PermilleError, match=says):
            make(file.read(written(study, quality)))

    def test_only_models_that_generate_are_scored(self, study: Path) -> None:
        decoder(study)
        models = {
            "replica": ("transformers", 'weights = "replica"\narchitecture = "gpt2"'),
            "backend python cannot be scored": ("python", 'callable = "models:quick"'),
        }
        (study / "models.py").write_text("def quick(text): return text\n")
        for says, (backend, own) in models.items():
            with pytest.raises(PermilleError, match=says):
                make(file.read(written(study, LOCAL, backend, own)))
        by_head = written(study, LOCAL, task="text-classification", label=', label = "label"')
        with pytest.raises(PermilleError, match="not for text-classification by a head"):
            make(file.read(by_head))

    def test_its_own_functions_are_code_that_the_study_executes(self, study: Path) -> None:
        """Reading the plan runs none of it; its files are part of the cell's id."""
        decoder(study)
        functions = study / "harness" / "functions.py"
        functions.write_text("raise SystemExit('run')\ndef texts(doc): return ''\n")
        task = study / "harness" / "parity.yaml"
        task.write_text(task.read_text() + "process_docs: !function functions.texts\n")
        plan = make(file.read(written(study, LOCAL)))
        assert [(one.kind, "harness" in one.what) for one in executions(plan)] == [("code", True)]
        functions.write_text("def texts(doc): return ''\n")
        again = make(file.read(written(study, LOCAL)))
        assert again.cells[0].cell.id != plan.cells[0].cell.id

    def test_a_loaded_model_is_scored_with_the_error_and_samples_of_the_harness(
        self, study: Path
    ) -> None:
        decoder(study)
        spec = ModelSpec(
            id="tiny", backend="transformers", category="task-specific",
            settings={"path": str(study / "model")},
        )  # fmt: skip
        model = plugins.load("backends", "transformers").load(spec, "text-generation")
        task = HarnessTask(task="parity", limit=3, include_path=str(study / "harness"))
        score = harness_score(model, task, seed=-5)
        quality, shown = score.quality, interval(score.quality)
        assert (quality.metric, quality.n) == ("acc (lm-eval parity)", 3)
        assert len(unpack(quality.scores)) == 3
        assert quality.standard_error is not None
        assert shown.low is not None
        assert shown.low < quality.value
        assert "3 of its 4 samples" in score.note

    @pytest.mark.measuring
    def test_the_first_repeat_has_the_score_for_all(
        self, permille: Permille, powercap: Driver, study: Path
    ) -> None:
        decoder(study)
        path = str(written(study, LOCAL))
        permille("run", path, "--store", "scored.db", HF_HOME=str(study / "hub"))
        (row,) = permille("results", "--store", "scored.db", "--json").json["rows"]
        assert row["trials"] == {"done": 2, "failed": 0, "invalid": 0}
        assert (row["quality"]["metric"], row["quality"]["n"]) == ("acc (lm-eval parity)", 3)
        assert row["quality"]["lower_is_better"] is False
        assert sum("3 of its 4 samples" in note for note in row["notes"]) == 1
