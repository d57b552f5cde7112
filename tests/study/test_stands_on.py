"""What decides an answer decides the cell: a change of it is measured anew, in every backend."""

from __future__ import annotations

import grp
import json
import os
import pwd
import sys
from pathlib import Path

import pytest

from permille.backends.python import backend as python
from permille.backends.transformers.plugin import backend as transformers
from permille.errors import ModelError, PermilleError, StudyError, TrialError
from permille.study.plan import file, stamps
from permille.study.plan.entries import StudyFile
from permille.study.plan.execution import executions
from permille.study.plan.grid import Plan, make
from permille.study.plan.models import Model, open_entry
from permille.study.plan.ownership import why_not_own
from permille.study.run.environment import cpu_model, describe
from permille.workload.requests import Text
from tests.gguf_file import gguf

ROWS = '{"text": "good one", "label": "good"}\n{"text": "bad one", "label": "bad"}\n'
HEAD = '[study]\nname = "s"\ninferences = 2\n\n'
TASKS = """
[[tasks]]
task = "text-classification"
datasets = [{ path = "rows.jsonl", text = "text", label = "label" }]
"""
CALLABLE = """[[models]]
id = "m"
backend = "python"
category = "task-specific"
callable = "model:predict"
"""


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


ONNX = _field(
    7, _field(5, b"\x08\x02" + _field(13, _field(1, b"location") + _field(2, b"far.bin")))
)
"""A graph of one tensor whose numbers lie in far.bin."""


def study(folder: Path, models: str = CALLABLE, tasks: str = TASKS) -> StudyFile:
    (folder / "rows.jsonl").write_text(ROWS)
    (folder / "study.toml").write_text(HEAD + models + tasks)
    return file.read(folder / "study.toml")


def plan(folder: Path, models: str = CALLABLE, **given: object) -> Plan:
    return make(study(folder, models), **given)  # type: ignore[arg-type]


def cell_id(folder: Path, models: str = CALLABLE, **given: object) -> str:
    (planned,) = plan(folder, models, **given).cells
    return planned.cell.id


def opened(folder: Path, models: str) -> Model:
    found = study(folder, models)
    return open_entry(found.models[0], found, (), fetch=False)


MODULE = "{}\n\ndef predict(text):\n    return 'good'\n"


@pytest.mark.parametrize(
    ("source", "other"),
    [
        ("x = 1", "model.py"),
        ("import helper", "helper.py"),
        ("from helper import y", "helper.py"),
        ("def later():\n    import helper", "helper.py"),
        ("try:\n    import helper\nexcept ImportError:\n    helper = None", "helper.py"),
        ("import helper as h", "helper.py"),
        ("import deep.inner.leaf", "deep/inner/leaf.py"),
        ("from deep.inner import leaf", "deep/inner/leaf.py"),
        ("from deep.inner import leaf", "deep/__init__.py"),
        ("from deep.inner import leaf", "deep/inner/sibling.py"),
        ("from deep.star import *", "deep/star/part.py"),
        ("import importlib\nh = importlib.import_module('helper')", "helper.py"),
        ("from importlib import import_module\nh = import_module('deep.alone')", "deep/alone.py"),
        ("import runpy\nh = runpy.run_path('helper.py')", "helper.py"),
        ("import sys\nsys.path.insert(0, 'lib')\nimport far", "lib/far.py"),
        ("import helper", "transitive.py"),
        ("import plain.module", "plain/module.py"),
    ],
)
def test_a_change_of_what_a_callable_imports_is_another_cell(
    tmp_path: Path, source: str, other: str
) -> None:
    for name, content in {
        "model.py": MODULE.format(source),
        "helper.py": "import transitive\ny = 1\n",
        "transitive.py": "z = 1\n",
        "deep/__init__.py": "",
        "deep/alone.py": "",
        "deep/inner/__init__.py": "",
        "deep/inner/leaf.py": "from . import sibling\n",
        "deep/inner/sibling.py": "",
        "deep/star/__init__.py": "__all__ = ['part']\n",
        "deep/star/part.py": "",
        "plain/module.py": "",
        "lib/far.py": "",
        "unrelated.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    before = cell_id(tmp_path)
    (tmp_path / "unrelated.py").write_text("a = 2\n")
    assert cell_id(tmp_path) == before
    with (tmp_path / other).open("a") as stream:
        stream.write("# other\n")
    assert cell_id(tmp_path) != before


def test_imports_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODULE.format("import helper\nopen('a.py')"))
    (tmp_path / "helper.py").write_text("import runpy\nrunpy.run_path('model.py')\nimport model\n")
    assert set(plan(tmp_path).cells[0].facts.files) == {"model.py", "helper.py"}


def test_an_import_by_a_name_made_as_it_runs_is_said(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODULE.format("n = 'a'\n__import__(n + 'b')"))
    assert any(
        "model.py:2 imports a module with a computed name" in note for note in plan(tmp_path).notes
    )


def test_a_worker_imports_the_planned_source_even_where_python_has_an_older_one_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    own = CALLABLE.replace("model:", "stale_for_tests:")
    path = tmp_path / "stale_for_tests.py"
    path.write_text("def predict(text): return 'old'\n")
    os.utime(path, (1e9, 1e9))
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("stale_for_tests")
    del sys.modules["stale_for_tests"]
    path.write_text("def predict(text): return 'new'\n")
    os.utime(path, (1e9, 1e9))
    loaded = python.load(plan(tmp_path, own).cells[0].model, "text-classification")
    assert loaded.infer(Text(text="x")) == "new"
    del sys.modules["stale_for_tests"]


def test_code_edited_after_the_plan_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    own = CALLABLE.replace("model:", "edited_for_tests:")
    (tmp_path / "edited_for_tests.py").write_text("def predict(text): return 'old'\n")
    spec = plan(tmp_path, own).cells[0].model
    (tmp_path / "edited_for_tests.py").write_text("raise SystemExit('it ran')\n")
    with pytest.raises(ModelError, match=r"edited_for_tests\.py has changed since"):
        python.load(spec, "text-classification")


def test_a_file_that_changed_since_the_plan_fails_the_trial(tmp_path: Path) -> None:
    weights = tmp_path / "w.bin"
    weights.write_bytes(b"one")
    stamp = stamps.Stamp.of("w.bin", weights)
    os.utime(weights, (1, 1))
    stamps.check([stamp])  # touched, and the same
    weights.write_bytes(b"two")
    with pytest.raises(TrialError, match="has changed since the study was planned"):
        stamps.check([stamp])


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "config.json", "preprocessor_config.json", "model.onnx_data"]
)
def test_what_lies_beside_an_onnx_file_counts(tmp_path: Path, name: str) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.onnx").write_bytes(ONNX)
    (tmp_path / "m" / name).write_text("{}")
    own = '[[models]]\nid = "m"\nbackend = "onnx"\ncategory = "task-specific"\n'
    own += 'path = "m/model.onnx"\n'
    before = opened(tmp_path, own).files
    (tmp_path / "m" / name).write_text('{"a": 1}')
    assert opened(tmp_path, own).files != before


def test_weights_that_an_onnx_file_keeps_elsewhere_count_by_any_name(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(ONNX)
    (tmp_path / "far.bin").write_bytes(b"1")
    own = '[[models]]\nid = "m"\nbackend = "onnx"\ncategory = "task-specific"\n'
    own += 'path = "model.onnx"\n'
    before = opened(tmp_path, own).files
    (tmp_path / "far.bin").write_bytes(b"2")
    assert opened(tmp_path, own).files != before


@pytest.mark.slow
def test_every_part_of_a_gguf_model_counts(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"m-0000{number}-of-00002.gguf").write_bytes(gguf({}, {"a": (2, 2)}))
    own = '[[models]]\nid = "m"\nbackend = "llama"\ncategory = "general-purpose"\n'
    own += 'path = "m-00001-of-00002.gguf"\n'
    before = opened(tmp_path, own).files
    (tmp_path / "m-00002-of-00002.gguf").write_bytes(gguf({}, {"b": (2, 2)}))
    assert opened(tmp_path, own).files != before


@pytest.mark.parametrize("changed", ["server.py", "answers.py", "words.txt"])
@pytest.mark.parametrize("shell", [False, True])
def test_the_files_that_a_servers_command_names_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, shell: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "server.py").write_text("import answers\n")
    (tmp_path / "answers.py").write_text("")
    (tmp_path / "words.txt").write_text("")
    command = f"{sys.executable} server.py --words=words.txt --log run.txt"
    command = f"sh -c '{command}'" if shell else command
    own = '[[models]]\nid = "m"\nbackend = "endpoint"\ncategory = "general-purpose"\n'
    own += f'url = "http://127.0.0.1:9/v1"\nserve = "{command}"\n'
    before = opened(tmp_path, own).files
    (tmp_path / "run.txt").write_text("what the server wrote")
    assert opened(tmp_path, own).files == before
    (tmp_path / changed).write_text("# other\n")
    assert opened(tmp_path, own).files != before


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["transformers", "diffusers"])
def test_every_file_of_a_models_folder_counts_through_links_too(tmp_path: Path, kind: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "config.json").write_text("{}")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "generation_config.json").write_text("{}")
    (tmp_path / "m" / "part").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "m" / "loop").symlink_to(tmp_path / "m")
    own = f'[[models]]\nid = "m"\nbackend = "{kind}"\ncategory = "task-specific"\npath = "m"\n'
    seen = set()
    for name in ("generation_config.json", "part/config.json"):
        seen.add(json.dumps(opened(tmp_path, own).files))
        (tmp_path / "m" / name).write_text('{"a": 1}')
    seen.add(json.dumps(opened(tmp_path, own).files))
    assert len(seen) == 3


def test_a_folder_that_several_links_lead_to_is_read_once_by_its_own_name(tmp_path: Path) -> None:
    model = tmp_path / "m"
    for folder in (model / "own", model / "before", tmp_path / "elsewhere"):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    (model / "before" / "link").symlink_to(model / "own")
    (model / "a").symlink_to(model / "own")
    (model / "b").symlink_to(tmp_path / "elsewhere")
    (model / "c").symlink_to(tmp_path / "elsewhere")
    text = '[[models]]\nid = "m"\nbackend = "onnx"\ncategory = "task-specific"\npath = "m"\n'
    names = ["before/config.json", "own/config.json", "b/config.json"]
    assert list(opened(tmp_path, text).files) == names


@pytest.mark.slow
def test_an_adapter_whose_base_lies_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    (tmp_path / "m" / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (tmp_path / "m" / "adapter_config.json").write_text('{"base_model_name_or_path": "/base"}')
    own = '[[models]]\nid = "m"\nbackend = "transformers"\ncategory = "task-specific"\npath = "m"\n'
    with pytest.raises(ModelError, match="is an adapter of /base"):
        transformers.check(opened(tmp_path, own).spec, "text-classification")


def test_labels_that_no_sample_shows_the_network_and_passed_variables_count(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODULE.format(""))
    found = study(tmp_path)
    (tmp_path / "rows.jsonl").write_text(ROWS * 5)
    rows = [f'{{"text": "t{i}", "label": "{"ab"[i % 2]}"}}' for i in range(9)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    two = make(found).cells[0]
    seen = {two.cell.id}
    last = next(i for i in range(9) if str(i + 1) not in {s.id for s in two.dataset.samples})
    rows[last] = rows[last].replace('"label": "', '"label": "c')
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    three = make(found).cells[0]
    assert three.dataset.digest == two.dataset.digest  # the same samples, other choices
    seen.add(three.cell.id)
    seen.add(cell_id(tmp_path, CALLABLE + "network = true\n"))
    seen.add(cell_id(tmp_path, passed={"MODE": "a"}))
    seen.add(cell_id(tmp_path, passed={"MODE": "b"}))
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def predict(text)\n    return 1\n", r"model\.py:1: expected ':'; it is not valid Python"),
        ("x = 1\nreturn x\n", r"model\.py:2: 'return' outside function"),
        ("def predikt(text): ...\n", r"model\.py:1: .* has no 'predict'; did you mean 'predikt'"),
        ("class A:\n    def predict(self): ...\n", r"has no 'predict'; its names: A"),
        ("def f():\n    predict = 1\n", r"has no 'predict'"),
        ("import no_such_thing_here\ndef predict(t): ...\n", r"model\.py:1: it imports no_such"),
        ("import os\nfrom . import x\ndef predict(t): ...\nimport a_b.c\n", r"model\.py:4"),
        ("from helper import gone\ndef predict(t): ...\n", r"imports gone from helper, but .*has"),
        ("from package import gone\ndef predict(t): ...\n", r"imports gone from package"),
        ("import package.gone\ndef predict(t): ...\n", r"package\.gone, which is not in its"),
        ("a = '" + "\0" + "'\n", r"model\.py:1"),
        ("x = " + "(" * 3000 + "\n", r"model\.py:1"),
    ],
)
def test_what_is_wrong_with_a_callables_source_is_one_line_with_file_and_line(
    tmp_path: Path, source: str, says: str
) -> None:
    (tmp_path / "helper.py").write_text("here = 1\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "model.py").write_text(source)
    with pytest.raises(PermilleError, match=says) as caught:
        plan(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "if True:\n    def predict(t): ...\n",
        "from helper import here as predict\n",
        "predict = lambda t: t\n",
        "try:\n    import no_such_thing_here\nexcept ImportError: ...\ndef predict(t): ...\n",
        "def make():\n    global predict\n    predict = len\nmake()\n",
        "for predict in [len]: ...\n",
        "with open('x') as predict: ...\n",
        "(predict := len)\n",
        "from helper import *\n",
        "globals()['predict'] = len\n",
        "def __getattr__(name): return len\n",
        "from package import sub\ndef predict(t): ...\n",
        "import sys\nsys.path.append('/nowhere')\nimport no_such_thing_here\ndef predict(t): ...\n",
    ],
)
def test_a_function_that_may_be_there_is_let_be(tmp_path: Path, source: str) -> None:
    (tmp_path / "helper.py").write_text("here = 1\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "sub.py").write_text("")
    (tmp_path / "model.py").write_text(source)
    assert plan(tmp_path).cells


@pytest.mark.parametrize("good", [1, 3, 4])
def test_a_file_most_of_whose_rows_are_bad_is_refused(tmp_path: Path, good: int) -> None:
    (tmp_path / "model.py").write_text(MODULE.format(""))
    found = study(tmp_path)
    rows = [f'{{"text": "t{i}", "label": "{"xyxy"[i]}"}}' for i in range(good)] + ['{"txt": 1}'] * (
        7 - good
    )
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    if good < 4:
        with pytest.raises(PermilleError, match=rf"{7 - good} of 7 rows are bad \(line"):
            make(found)
    else:
        assert any("3 bad rows skipped" in note for note in make(found).notes)


def test_rows_of_labels_that_are_not_wanted_are_not_bad(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODULE.format(""))
    found = study(tmp_path, tasks=TASKS.replace('"label" }', '"label", labels = ["x", "z"] }'))
    rows = [f'{{"text": "t{i}", "label": "{"xz"[i] if i < 2 else "y"}"}}' for i in range(7)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    assert len(make(found).cells[0].dataset.samples) == 2


# --- borders -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    ["subprocess:getoutput", "os:system", "builtins:eval", "os.path:join", "runpy:run_path"],
)
def test_a_study_calls_nothing_of_pythons_own(tmp_path: Path, target: str) -> None:
    own = CALLABLE.replace("model:predict", target)
    for modules in ((), ("os", "subprocess", "builtins")):
        with pytest.raises(ModelError, match="is in Python's standard library"):
            plan(tmp_path, own, modules=modules)


def test_an_installed_package_is_called_where_the_user_names_it(tmp_path: Path) -> None:
    own = CALLABLE.replace("model:predict", "msgspec.json:decode")
    with pytest.raises(StudyError, match="--allow-module msgspec"):
        plan(tmp_path, own)
    with pytest.raises(StudyError, match="--allow-module msgspec"):
        plan(tmp_path, own, modules=["msg"])
    assert plan(tmp_path, own, modules=["msgspec"]).cells


def test_all_that_would_be_executed_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODULE.format("def load(): ..."))
    found = executions(plan(tmp_path, CALLABLE + 'load = "model:load"\n'))
    assert [(e.kind, e.what) for e in found] == [
        ("callable", "model:predict"),
        ("callable", "model:load"),
    ]


def test_a_file_is_in_the_users_own_hand_where_nobody_else_can_write_it(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir(mode=0o755)
    path = folder / "study.toml"
    path.touch(mode=0o644)
    assert why_not_own(path) is None
    path.chmod(0o666)
    assert why_not_own(path) == "it can be written by every user"
    path.chmod(0o644)
    folder.chmod(0o1777)
    assert why_not_own(path) == "its folder can be written by every user"
    folder.chmod(0o755)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    assert why_not_own(link) == "it is a link"
    assert why_not_own(folder / "gone.toml") is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to a group, which needs root")
def test_a_file_that_a_group_may_write_is_in_ones_own_hand_if_nobody_else_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.toml"
    path.touch()
    path.chmod(0o664)
    os.chown(path, -1, 12_345)
    monkeypatch.setattr(os, "getegid", lambda: 12_345)  # the primary group of many, as in staff
    assert why_not_own(path) == "it can be written by a group"
    user = pwd.getpwuid(os.geteuid()).pw_name
    for members, reason in (([], None), ([user, "other"], "it can be written by a group")):
        private = grp.struct_group((user, "x", 12_345, members))
        monkeypatch.setattr(grp, "getgrgid", lambda id, group=private: group)
        assert why_not_own(path) == reason


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away, which needs root")
def test_another_users_file_is_not_in_ones_own_hand(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.touch(mode=0o644)
    os.chown(path, 12_345, 12_345)
    assert why_not_own(path) == "it belongs to another user"


def test_what_was_downloaded_is_not_in_ones_own_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "Downloads" / "unpacked" / "study.toml"
    path.parent.mkdir(parents=True)
    path.touch(mode=0o644)
    assert why_not_own(path) == "it is in the downloads folder"


def test_threads_and_devices_that_a_variable_sets_are_another_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = describe([])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert describe([]).fingerprint != before.fingerprint
    assert describe([]).facts["OMP_NUM_THREADS"] == "1"


def _arm(part: str, name: str = "") -> str:
    return f"{name}CPU implementer\t: 0x41\nCPU variant\t: 0x3\nCPU part\t: {part}\n"


def test_processors_of_different_generations_are_different_kinds_of_machine() -> None:
    assert (
        cpu_model("model name\t: AMD EPYC 7763\nmodel name\t: AMD EPYC 7763\n") == "AMD EPYC 7763"
    )
    assert cpu_model(_arm("0xd0c") * 4) == "0x41/0xd0c"
    assert cpu_model(_arm("0xd40") * 4) == "0x41/0xd40"
    assert cpu_model(_arm("0xd0b") + _arm("0xd05")) == "0x41/0xd05, 0x41/0xd0b"
    assert cpu_model(_arm("0xd03", "model name\t: ARMv7 Processor rev 4 (v7l)\n")) == (
        "ARMv7 Processor rev 4 (v7l), 0x41/0xd03"
    )
    assert cpu_model("processor\t: 0\n") is None
