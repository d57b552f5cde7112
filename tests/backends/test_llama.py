"""On the real model of the quick start: nothing smaller is a real GGUF model."""

from __future__ import annotations

import http.client
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from permille import assets
from permille.backends import llama
from permille.backends.llama import LlamaBackend, _Llama, backend
from permille.errors import ModelError
from permille.workload.outputs import Output
from permille.workload.requests import Chat, Choice, Generate, Text
from permille.workload.specs import ModelSpec
from tests import quickstart_assets
from tests.conftest import PATIENCE_S

pytestmark = pytest.mark.slow

TASK = "text-classification"
PROMPT = "Review: A gripping, beautifully acted film.\nSentiment:"
WORDS = (" negative", " positive")


def spec(path: Path | str, **settings: Any) -> ModelSpec:
    return ModelSpec(
        id="smol",
        backend="llama",
        category="general-purpose",
        settings={"path": str(path), **settings},
    )


@pytest.fixture(scope="module")
def model() -> Iterator[_Llama]:
    file = assets.resolve("asset:smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf")
    # Threads that wait for one another by spinning crawl where other tests want the cores.
    loaded = backend.load(spec(file, context=256, threads=1), TASK)
    assert isinstance(loaded, _Llama)
    yield loaded
    loaded.close()


def choose(model: _Llama, prompt: str, choices: tuple[str, ...]) -> Output:
    return model.read(model.infer(Choice(prompt=prompt, choices=choices)))


def test_the_size_is_that_of_all_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """llama.cpp is not started: a real model in several parts has gigabytes."""
    monkeypatch.setattr(llama, "_start", lambda *_: None)
    models = {"data": [{"meta": {"n_params": 7}}]}
    monkeypatch.setattr(_Llama, "_ask_http", lambda *_: models)
    names = ("m-00001-of-00002", "m-00002-of-00002", "m-00001-of-00003", "m-xl-00001-of-00002")
    for number, name in enumerate(names, 1):
        (tmp_path / f"{name}.gguf").write_bytes(b"GGUF" * number)
    first = spec(tmp_path / "m-00001-of-00002.gguf")
    assert backend.load(first, TASK).facts.size_bytes == 4 + 8
    assert LlamaBackend().stands_on(first).files.keys() == {"m-00002-of-00002.gguf"}
    alone = tmp_path / "alone.gguf"
    alone.write_bytes(b"GGUF")
    assert backend.load(spec(alone), TASK).facts.size_bytes == 4
    assert not LlamaBackend().stands_on(spec(alone)).files


@quickstart_assets.needed
class TestReal:
    def test_the_probabilities_are_those_of_the_whole_vocabulary(self, model: _Llama) -> None:
        output = choose(model, PROMPT, WORDS)
        everything = model._complete([PROMPT], max_tokens=1, temperature=0.0, n_probs=49_152)
        top = everything["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        logprobs = {entry["token"]: entry["logprob"] for entry in top}
        weights = {word: math.exp(logprobs[word]) for word in WORDS}
        assert output.data == pytest.approx(
            {word: weight / sum(weights.values()) for word, weight in weights.items()}, rel=1e-3
        )
        assert output.label == max(weights, key=lambda word: weights[word])
        assert output.tokens_out == 0

    def test_a_word_that_no_top_list_would_hold_is_weighed_all_the_same(
        self, model: _Llama
    ) -> None:
        output = choose(model, PROMPT, (" positive", " zx"))
        assert output.label == " positive"
        assert 0 < output.data[" zx"] < 0.01

    def test_an_identical_prompt_is_evaluated_whole_again(self, model: _Llama) -> None:
        first, second = (choose(model, PROMPT, WORDS) for _ in range(2))
        assert first.tokens_in == second.tokens_in == len(model._tokenize(PROMPT))

    def test_words_that_begin_alike_are_told_apart_where_they_differ(self, model: _Llama) -> None:
        words = (" not bad at all", " not good at all")
        output = choose(model, PROMPT, words)
        shared = len(model._tokenize(PROMPT + " not"))
        assert output.tokens_in == shared, "one question, after what the words share"
        assert sum(output.data.values()) == pytest.approx(1, abs=1e-3)

    def test_three_words_of_which_two_begin_alike_take_two_questions(self, model: _Llama) -> None:
        output = choose(model, PROMPT, (" not bad", " not good", " zx"))
        whole = len(model._tokenize(PROMPT))
        assert output.tokens_in == whole + whole + 1
        assert output.label in (" not bad", " not good")

    def test_a_word_that_is_the_beginning_of_another_is_refused(self, model: _Llama) -> None:
        with pytest.raises(ModelError, match="prefix of another"):
            choose(model, PROMPT, (" positive", " positive indeed"))

    def test_a_word_that_runs_into_the_prompts_end_is_refused(self, model: _Llama) -> None:
        with pytest.raises(ModelError, match="merges with the end of the prompt"):
            choose(model, "The review is posi", ("tive", "ble"))

    def test_a_prompt_longer_than_the_context_is_a_clear_error(self, model: _Llama) -> None:
        with pytest.raises(ModelError, match=r"exceeds the available context .* raise context"):
            choose(model, "word " * 400 + PROMPT, WORDS)

    def test_generation_is_greedy_and_counted(self, model: _Llama) -> None:
        request = Generate(prompt="The capital of France is", max_new_tokens=4)
        first, second = (model.read(model.infer(request)) for _ in range(2))
        assert first == second
        assert "Paris" in (first.text or "")
        assert first.tokens_out == 4

    def test_a_chat_goes_through_the_models_template(self, model: _Llama) -> None:
        request = Chat(messages=(("user", "Say hello."),), max_new_tokens=6)
        first, second = (model.read(model.infer(request)) for _ in range(2))
        assert first == second
        assert first.text
        assert first.tokens_in is not None
        assert first.tokens_in > 10  # the template's own tokens are there
        assert first.tokens_out == 6

    def test_only_prompts_are_taken(self, model: _Llama) -> None:
        with pytest.raises(ModelError, match="Text"):
            model.infer(Text(text="x"))

    def test_facts(self, model: _Llama) -> None:
        assert model.facts.params == 134_515_008
        assert model.facts.size_bytes == 98_362_432
        assert model.device == "cpu"

    def test_the_port_is_closed_to_others(self, model: _Llama) -> None:
        address = model._server.listening_address.removeprefix("http://")
        assert address.startswith("127.0.0.1:")
        connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
        connection.request("POST", "/tokenize", '{"content": "x"}')
        assert connection.getresponse().status == http.HTTPStatus.UNAUTHORIZED
        connection.close()

    def test_llama_cpp_says_nothing_beside_us(
        self, model: _Llama, capfd: pytest.CaptureFixture[str]
    ) -> None:
        choose(model, PROMPT, WORDS)
        assert capfd.readouterr() == ("", "")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        backend.check(spec(tmp_path / "none.gguf"), TASK)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"\x80\x04 a pickle, say")
    with pytest.raises(ModelError, match="not a GGUF file"):
        backend.check(spec(tmp_path / "m.gguf"), TASK)


def test_a_damaged_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF\x03\0\0\0" + b"\xff" * 200)
    with pytest.raises(ModelError, match="is the file complete"):
        backend.load(spec(tmp_path / "m.gguf"), TASK)
    assert capfd.readouterr() == ("", "")


def test_a_gpu_that_is_not_there_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF\x03\0\0\0")
    import xllamacpp

    kinds = {str(device["type"]) for device in xllamacpp.get_device_info()}
    if any("GPU" in kind for kind in kinds):
        pytest.skip("this build of llama.cpp sees a GPU")
    with pytest.raises(ModelError, match="sees no GPU"):
        backend.load(spec(tmp_path / "m.gguf", gpu_layers=1), TASK)


@pytest.mark.parametrize("setting", [{"threads": 0}, {"context": 1}, {"gpu_layers": -1}])
def test_settings_out_of_range(tmp_path: Path, setting: dict[str, int]) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF\x03\0\0\0")
    with pytest.raises(ModelError, match=f"{next(iter(setting))} must be at least"):
        backend.check(spec(tmp_path / "m.gguf", **setting), TASK)
