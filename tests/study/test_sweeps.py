"""Sweeps: a list of values is a model for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from permille.errors import PermilleError, StudyError
from permille.study.plan import file
from permille.study.plan.grid import Plan, make
from permille.study.plan.selection import Selection, select
from permille.study.plan.sweeps import swept

STUDY = """
[study]
name = "sweep"
inferences = 4

[[models]]
id = "served"
backend = "endpoint"
category = "general-purpose"
url = "http://127.0.0.1:9/v1"
serve = "true"
KEYS

[[tasks]]
task = "chat"
datasets = [{ path = "rows.jsonl", text = "text" }]
"""


def planned(folder: Path, keys: str) -> Plan:
    (folder / "rows.jsonl").write_text('{"text": "hello"}\n')
    return make(file.parse(STUDY.replace("KEYS", keys), where="study.toml", folder=folder))


def test_each_value_is_a_cell_with_a_name_and_an_id_of_its_own(tmp_path: Path) -> None:
    cells = [c.cell for c in planned(tmp_path, "concurrency = [1, 4]").cells]
    assert [c.model for c in cells] == ["served, concurrency = 1", "served, concurrency = 4"]
    assert [c.settings["concurrency"] for c in cells] == [1, 4]
    assert len({c.id for c in cells}) == 2


def test_the_server_is_asked_for_the_model_of_the_file(tmp_path: Path) -> None:
    default = planned(tmp_path, "concurrency = [1, 4]").cells
    assert {c.model.settings["model"] for c in default} == {"served"}
    given = planned(tmp_path, 'model = "theirs"\nconcurrency = [1, 4]').cells
    assert {c.model.settings["model"] for c in given} == {"theirs"}


def test_two_lists_are_all_combinations(tmp_path: Path) -> None:
    cells = planned(tmp_path, "concurrency = [1, 4]\nstream = [true, false]").cells
    assert [c.cell.model for c in cells] == [
        "served, concurrency = 1, stream = true",
        "served, concurrency = 1, stream = false",
        "served, concurrency = 4, stream = true",
        "served, concurrency = 4, stream = false",
    ]


def test_a_setting_whose_value_is_a_list_is_no_sweep(tmp_path: Path) -> None:
    """``classes`` of backend onnx, which could not be given at all."""
    text = STUDY[: STUDY.index("backend")] + (
        'backend = "onnx"\ncategory = "task-specific"\nclasses = ["no", "yes"]\nthreads = [1, 2]\n'
        '[[tasks]]\ntask = "text-classification"\ndatasets = [{ path = "rows.jsonl" }]\n'
    )
    study = file.parse(text, where="study.toml", folder=tmp_path)
    assert [model.id for model in study.models] == ["served, threads = 1", "served, threads = 2"]
    assert {tuple(model.own["classes"]) for model in study.models} == {("no", "yes")}


def test_one_value_is_selected_by_its_whole_name_or_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "hello"}\n')
    text = STUDY.replace("KEYS", "concurrency = [1, 4]")
    study = file.parse(text, where="study.toml", folder=tmp_path)
    for models in ("served, concurrency = 4", "*= 4"):
        part = make(select(study, Selection(models=models)))
        assert [planned.cell.model for planned in part.cells] == ["served, concurrency = 4"]


def test_without_a_list_nothing_changes(tmp_path: Path) -> None:
    (cell,) = planned(tmp_path, "concurrency = 4").cells
    assert cell.cell.model == "served"
    assert "model" not in cell.model.settings


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("concurrency = []", "concurrency: a sweep is a list of"),
        ("concurrency = [[1]]", "concurrency: a sweep is a list of"),
        ("concurrency = [1, 1]", "a value occurs twice"),
        ('concurrency = [1, "many"]', "concurrency"),
        ("concurrency = [1, 0]", "concurrency must be 1 to"),
        ("concurency = [1, 2]", "did you mean 'concurrency'"),
    ],
)
def test_a_wrong_sweep_is_one_line(tmp_path: Path, keys: str, words: str) -> None:
    with pytest.raises(PermilleError, match=words) as caught:
        planned(tmp_path, keys)
    assert "\n" not in str(caught.value)


def test_too_many_combinations_are_refused_before_they_are_made() -> None:
    many = {key: list(range(100)) for key in "abcd"}
    with pytest.raises(StudyError, match="100,000,000 models"):
        next(swept(many, "models 1"))


@pytest.mark.slow
def test_a_replica_is_not_swept_because_its_id_decides_what_is_built(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    text = STUDY.replace("KEYS", 'weights = "replica"\nbatch_size = [1, 2]')
    text = text.replace('"endpoint"', '"transformers"').replace("general-purpose", "task-specific")
    text = "\n".join(x for x in text.split("\n") if not x.startswith(("url", "serve")))
    text = text.replace('"served"', '"distilbert/distilbert-base-uncased"')
    with pytest.raises(PermilleError, match="a replica cannot be swept"):
        make(file.parse(text, where="study.toml", folder=tmp_path))


def test_the_cells_of_a_study_are_counted_before_they_are_made(tmp_path: Path) -> None:
    datasets = ", ".join(f'{{ path = "rows.jsonl", name = "d{number}" }}' for number in range(101))
    keys = f"max_new_tokens = {list(range(1, 1_001))}"
    text = STUDY.replace("KEYS", keys).partition("datasets")[0] + f"datasets = [{datasets}]"
    study = file.parse(text, where="study.toml", folder=tmp_path)
    for refused in (lambda: make(study), lambda: select(study, Selection(shard="1/2"))):
        with pytest.raises(StudyError, match=r"study\.toml: the study has more than 100,000 cells"):
            refused()


def test_the_lists_of_a_file_make_a_bounded_number_of_models(tmp_path: Path) -> None:
    """Each table is within its own bound."""
    lists = "\n".join(f"{key} = {list(range(10))}" for key in ("seed", "top_k", "max_new_tokens"))
    table = '[[models]]\nid = "{}"\nbackend = "endpoint"\ncategory = "general-purpose"\n' + lists
    tables = "\n".join(table.format(number) for number in range(11))
    head, _, rest = STUDY.partition("[[models]]")
    tasks = rest[rest.index("[[tasks]]") :]
    with pytest.raises(StudyError, match=r"study\.toml: its lists make more than 10,000 models"):
        file.parse(f"{head}{tables}\n{tasks}", where="study.toml", folder=tmp_path)
