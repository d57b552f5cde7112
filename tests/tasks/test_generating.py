"""The tasks whose answer is a generated text: requests, what is refused, and the scores."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille import plugins
from permille.errors import ModelError
from permille.tasks.prompting import check_installed, fill, token_counts
from permille.tasks.question_answering import f1, words
from permille.workload.outputs import Output
from permille.workload.protocols import Task
from permille.workload.requests import Chat, Generate, Question, Text
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec

DATASET = Dataset(name="d", samples=(), digest="")


def task(name: str) -> Task:
    found: Task = plugins.load("tasks", name)
    assert found.name == name
    assert set(found.kinds) == {*found.inputs} | ({found.reference} if found.reference else set())
    return found


def model(category: Any = "general-purpose", prompt: str | None = None, **own: Any) -> ModelSpec:
    return ModelSpec(id="m", backend="b", category=category, prompt=prompt, settings=own)


def sample(reference: Any = None, n: int = 1, **inputs: str) -> Sample:
    return Sample(id=str(n), inputs=inputs or {"text": "some text"}, reference=reference)


def texts(*found: str | None) -> list[Output]:
    return [Output(text=text) for text in found]


# --- requests ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "tokens"), [("text-generation", 64), ("summarization", 64), ("translation", 128)]
)
def test_a_task_specific_model_gets_the_text(name: str, tokens: int) -> None:
    asked = task(name).request(sample(), model("task-specific"), DATASET)
    assert asked == Generate(prompt="some text", max_new_tokens=tokens)


def test_the_prompt_is_filled_in_and_the_limit_is_the_models() -> None:
    asked = task("summarization").request(
        sample(), model(prompt="Short: {text} {x}", max_new_tokens=10), DATASET
    )
    assert asked == Generate(prompt="Short: some text {x}", max_new_tokens=10)


def test_a_chat_is_one_message() -> None:
    asked = task("chat").request(sample(), model(), DATASET)
    assert asked == Chat(messages=(("user", "some text"),), max_new_tokens=256)


def test_a_question_is_a_span_or_a_prompt() -> None:
    asked = sample(question="Who {context}?", context="C")
    qa = task("question-answering")
    assert qa.request(asked, model("task-specific"), DATASET) == Question(
        question="Who {context}?", context="C"
    )
    assert qa.request(asked, model(prompt="{context} Q: {question}"), DATASET) == Generate(
        prompt="C Q: Who {context}?", max_new_tokens=16
    )


def test_a_text_to_embed_is_the_text() -> None:
    asked = task("feature-extraction").request(sample(), model("task-specific"), DATASET)
    assert asked == Text(text="some text")


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.text(), min_size=1))
def test_what_is_filled_in_is_never_filled_in_again(values: dict[str, str]) -> None:
    prompt = "".join(f"<{{{name}}}>" for name in values)
    assert fill(prompt, values) == "".join(f"<{value}>" for value in values.values())
    assert fill("{a} {c}", {"a": "{c}", "c": "x"}) == "{c} x"


# --- refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "asked", "says"),
    [
        ("summarization", model(), r"needs a prompt with \{text\} in it"),
        ("translation", model(prompt="To French:"), r"needs a prompt with \{text\}"),
        ("question-answering", model(prompt="{question}"), r"prompt with \{context\} in it"),
        ("text-generation", model(prompt="Go on:"), r"needs a prompt with \{text\}"),
        ("summarization", model("task-specific", prompt="short:"), r"prompt with \{text\}"),
        ("chat", model(max_new_tokens=0), "max_new_tokens must be 1 to 100,000"),
    ],
)
def test_what_does_not_fit_is_one_line(name: str, asked: ModelSpec, says: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        task(name).check(asked, DATASET)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["text-generation", "chat", "feature-extraction"])
def test_without_a_prompt_the_text_is_one(name: str) -> None:
    task(name).check(model("task-specific"), DATASET)


def test_a_missing_library_is_the_command_that_installs_it() -> None:
    with pytest.raises(ModelError, match=r"pip install 'permille\[quality\]'"):
        check_installed("x", ["no_such_module_of_scores"])


# --- scores ------------------------------------------------------------------------------


def test_rouge_of_a_pair_worked_by_hand() -> None:
    # Answer: the cat sat; reference: the cat sat down. P = 3/3, R = 3/4, F = 6/7; pairs: 2/2, 2/3.
    quality = task("summarization").score(
        texts("The cat sat", ""), [sample("the cat sat down"), sample("x", n=2)], model()
    )
    assert quality is not None
    assert (quality.metric, quality.n, quality.unreadable) == ("rougeL", 2, 1)
    assert quality.value == pytest.approx(6 / 7 / 2)
    assert quality.others["rouge1"] == pytest.approx(6 / 7 / 2)
    assert quality.others["rouge2"] == pytest.approx(4 / 5 / 2)
    assert quality.standard_error == pytest.approx(6 / 7 / 2)  # of 6/7 and 0


def test_bleu_is_that_of_a_corpus() -> None:
    text = "the quick brown fox jumps over the lazy dog"
    references = [sample(text), sample(text + " again", n=2)]
    perfect = task("translation").score(texts(text, text + " again"), references, model())
    assert perfect is not None
    assert perfect.metric == "bleu"
    assert perfect.value == pytest.approx(1.0)
    assert perfect.others["chrf"] == pytest.approx(1.0)
    wrong = task("translation").score(texts("nothing alike", None), references, model())
    assert wrong is not None
    assert wrong.value < 0.01
    assert wrong.unreadable == 1


def test_squads_measures_worked_by_hand() -> None:
    references = [
        sample(["Paris", "the city of Paris"], n=1),
        sample(["in 1889"], n=2),
        sample([], n=3),
        sample([], n=4),
    ]
    quality = task("question-answering").score(
        texts("The Paris!\nQuestion: next", "the year 1889", "", "Eiffel"), references, model()
    )
    assert quality is not None
    assert quality.others["exact_match"] == pytest.approx(2 / 4)
    assert quality.value == pytest.approx((1 + 2 * 1 / 4 + 1 + 0) / 4)
    assert quality.unreadable == 1


@given(st.text(), st.text())
def test_f1_is_a_share_and_symmetric(a: str, b: str) -> None:
    assert 0 <= f1(a, b) <= 1
    assert f1(a, b) == f1(b, a)
    assert f1(a, a) == 1
    assert (f1(a, b) == 1) == (sorted(words(a)) == sorted(words(b)))


@pytest.mark.parametrize("name", ["text-generation", "chat"])
def test_no_reference_no_quality(name: str) -> None:
    assert task(name).score(texts("x"), [sample()], model()) is None


@pytest.mark.parametrize("name", ["summarization", "translation", "question-answering"])
def test_nothing_to_score(name: str) -> None:
    assert task(name).score([], [], model()) is None


def test_embeddings_must_be_vectors_of_one_length() -> None:
    extraction = task("feature-extraction")
    two = [sample(n=1), sample(n=2)]
    good = [Output(data=[1.0, 2.0]), Output(data=[3.0, 4.0])]
    assert extraction.score(good, two, model()) is None
    for bad in ([Output(data=[1.0]), Output(data=[1.0, 2.0])], texts("a", "b")):
        with pytest.raises(ModelError, match="not embeddings of one length"):
            extraction.score(bad, two, model())


def test_counts_are_sums_or_missing() -> None:
    counted = [Output(tokens_in=3, tokens_out=0), Output(tokens_in=4)]
    for name in ("chat", "summarization", "feature-extraction"):
        assert task(name).counts(counted) == token_counts(counted) == {"tokens_in": 7.0}
