from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from permille.backends.python import backend
from permille.errors import ModelError
from permille.workload.outputs import Output
from permille.workload.requests import (
    Chat,
    Choice,
    Draw,
    Generate,
    Masked,
    Picture,
    Question,
    Sound,
    Text,
    Words,
)
from permille.workload.specs import ModelSpec
from tests import tiny_models

TASK = "text-classification"
CODE = """
def classify(text):
    if text == "raise":
        raise LookupError("no such word")
    return "long" if len(text) > 5 else "short"

def load():
    return {"limit": 3}

def with_limit(limits, text):
    return "long" if len(text) > limits["limit"] else "short"

def make():
    return str.upper

def first(prompt, choices):
    return choices[0]

def number(text):
    return 7

def tags(words):
    return ["O"] * len(words)

def guess(before, after):
    return [before, after]

def size(content):
    return str(len(content))

def boxes(content):
    return [{"label": "x", "score": 1.0, "bbox": [0, 0, len(content), 1]}]

def draw(prompt):
    return object() if prompt else None
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "my_model_for_tests.py").write_text(CODE)
    yield tmp_path
    sys.modules.pop("my_model_for_tests", None)
    if str(tmp_path) in sys.path:
        sys.path.remove(str(tmp_path))


def spec(folder: Path, **settings: Any) -> ModelSpec:
    own = {k: f"my_model_for_tests:{v}" for k, v in settings.items()}
    own["python_path"] = str(folder)
    return ModelSpec(id="mine", backend="python", category="task-specific", settings=own)


@pytest.mark.parametrize(
    ("settings", "text", "answer"),
    [
        ({"callable": "classify"}, "abcdef", "long"),
        ({"load": "make"}, "abc", "ABC"),
        ({"callable": "with_limit", "load": "load"}, "abcd", "long"),
    ],
)
def test_the_three_forms(folder: Path, settings: Any, text: str, answer: str) -> None:
    model = backend.load(spec(folder, **settings), TASK)
    assert model.read(model.infer(Text(text=text))).label == answer


def test_a_general_purpose_callable_gets_prompt_and_choices(folder: Path) -> None:
    model = backend.load(spec(folder, callable="first"), TASK)
    raw = model.infer(Choice(prompt="which?", choices=("b", "a")))
    assert model.read(raw) == Output(label="b")


@pytest.mark.parametrize(
    ("request_", "task", "output"),
    [
        (Generate(prompt="p", max_new_tokens=3), "text-generation", Output(text="('p',)")),
        (Question(question="q", context="c"), "question-answering", Output(text="('q', 'c')")),
        (
            Chat(messages=(("user", "m"),), max_new_tokens=3),
            "chat",
            Output(text="((('user', 'm'),),)"),
        ),
        (Text(text="t"), "text-classification", Output(label="('t',)")),
    ],
)
def test_each_kind_of_request_has_its_arguments(
    folder: Path, request_: Any, task: str, output: Output
) -> None:
    (folder / "echo_for_tests.py").write_text(
        "def echo(*given): return str(given)\ndef vector(text): return (1, 2.5)\n"
    )
    own = {"callable": "echo_for_tests:echo", "python_path": str(folder)}
    model = ModelSpec(id="m", backend="python", category="task-specific", settings=own)
    loaded = backend.load(model, task)
    assert loaded.read(loaded.infer(request_)) == output


@pytest.mark.parametrize(
    ("task", "name", "request_", "output"),
    [
        ("token-classification", "tags", Words(words=("a", "b")), Output(data=["O", "O"])),
        ("fill-mask", "guess", Masked(before="a", after="b"), Output(data=["a", "b"])),
        ("image-classification", "size", Picture(content=b"abc"), Output(label="3")),
        ("image-to-text", "size", Picture(content=b"abc"), Output(text="3")),
        (
            "automatic-speech-recognition",
            "size",
            Sound(content=b"abc", max_new_tokens=1),
            Output(text="3"),
        ),
        (
            "object-detection",
            "boxes",
            Picture(content=b"abc"),
            Output(data=[{"label": "x", "score": 1.0, "bbox": [0, 0, 3, 1]}]),
        ),
        ("text-to-image", "draw", Draw(prompt="a"), Output(counted={"images": 1.0})),
    ],
)
def test_words_images_and_sound_have_their_arguments_and_answers(
    folder: Path, task: str, name: str, request_: Any, output: Output
) -> None:
    model = backend.load(spec(folder, callable=name), task)
    assert model.read(model.infer(request_)) == output


@pytest.mark.parametrize(
    ("task", "name", "request_", "says"),
    [
        ("token-classification", "size", Picture(content=b"a"), "a str, not a list of str"),
        ("object-detection", "tags", Words(words=("a",)), "not a list of dict"),
        ("image-classification", "number", Picture(content=b"a"), "a int, not a label"),
        ("text-to-image", "draw", Draw(prompt=""), "None, not an image"),
    ],
)
def test_an_answer_of_another_kind_is_refused(
    folder: Path, task: str, name: str, request_: Any, says: str
) -> None:
    model = backend.load(spec(folder, callable=name), task)
    with pytest.raises(ModelError, match=says):
        model.read(model.infer(request_))


def test_an_embedding_is_numbers(folder: Path) -> None:
    (folder / "embed_for_tests.py").write_text(
        "def good(text): return (1, 2.5)\ndef bad(text): return 7\n"
    )

    def embed(name: str) -> Output:
        own = {"callable": f"embed_for_tests:{name}", "python_path": str(folder)}
        model = ModelSpec(id="m", backend="python", category="task-specific", settings=own)
        loaded = backend.load(model, "feature-extraction")
        return loaded.read(loaded.infer(Text(text="t")))

    assert embed("good") == Output(data=[1.0, 2.5])
    with pytest.raises(ModelError, match="returned a int, not an embedding"):
        embed("bad")


def test_an_exception_of_the_users_goes_on_as_it_is(folder: Path) -> None:
    model = backend.load(spec(folder, callable="classify"), TASK)
    with pytest.raises(LookupError, match="no such word"):
        model.infer(Text(text="raise"))


def test_an_answer_that_is_no_label_is_refused(folder: Path) -> None:
    model = backend.load(spec(folder, callable="number"), TASK)
    with pytest.raises(ModelError, match="returned a int"):
        model.read(model.infer(Text(text="x")))


def test_check_finds_the_module_without_running_it(folder: Path) -> None:
    (folder / "loud_for_tests.py").write_text("raise SystemExit('it ran')\ndef f(text): ...\n")
    own = {"callable": "loud_for_tests:f", "python_path": str(folder)}
    backend.check(ModelSpec(id="m", backend="python", category="task-specific", settings=own), TASK)
    assert "loud_for_tests" not in sys.modules


def test_check_finds_a_module_in_a_package_without_running_the_package(folder: Path) -> None:
    package = folder / "package_for_tests"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('it ran')")
    (package / "inner.py").write_text("def f(text): ...\n")
    own = {"callable": "package_for_tests.inner:f", "python_path": str(folder)}
    model = ModelSpec(id="m", backend="python", category="task-specific", settings=own)
    backend.check(model, TASK)
    own["callable"] = "package_for_tests.absent:f"
    with pytest.raises(ModelError, match=r"no module 'package_for_tests\.absent'"):
        backend.check(model, TASK)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, 'needs callable = "module:function"'),
        ({"callable": "classify"}, "not of the form module:function"),
        ({"callable": "os.system('x'):f"}, "not of the form module:function"),
        ({"callable": "a:b.c"}, "not of the form module:function"),
        ({"load": "no_such_module_at_all:f"}, "no module 'no_such_module_at_all'"),
        ({"callable": "os.path.join:f"}, "os is in Python's standard library"),
    ],
)
def test_malformed_names_are_found_before_anything_runs(settings: Any, says: str) -> None:
    model = ModelSpec(id="m", backend="python", category="task-specific", settings=settings)
    with pytest.raises(ModelError, match=says):
        backend.check(model, TASK)


def test_a_function_that_is_not_there(folder: Path) -> None:
    with pytest.raises(ModelError, match="has no 'nothing'"):
        backend.load(spec(folder, callable="nothing"), TASK)


def test_a_load_that_returns_nothing_to_call(folder: Path) -> None:
    with pytest.raises(ModelError, match="returned a dict, which cannot be called"):
        backend.load(spec(folder, load="load"), TASK)


def test_seconds_of_audio_are_counted_after_the_inference(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    tiny_models.recording(tmp_path / "a.wav", 0.25)
    model = backend.load(spec(folder, callable="size"), "automatic-speech-recognition")
    sound = Sound(content=(tmp_path / "a.wav").read_bytes(), max_new_tokens=1)
    assert model.read(model.infer(sound)).counted == {"audio_seconds": 0.25}
