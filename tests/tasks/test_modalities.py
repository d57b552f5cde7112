"""The tasks beyond text: requests, what is refused, scores worked by hand, and counts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille import plugins
from permille.datasets import media
from permille.errors import ModelError
from permille.tasks.automatic_speech_recognition import plain
from permille.tasks.feature_extraction import precision_at_1
from permille.tasks.fill_mask import split
from permille.tasks.object_detection import mean_average_precision
from permille.workload.outputs import Likelihood, Output
from permille.workload.protocols import Task
from permille.workload.requests import Draw, Masked, Picture, Sound, Words
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec
from tests import tiny_models as tiny

DATASET = Dataset(name="d", samples=(), digest="")


def task(name: str) -> Task:
    found: Task = plugins.load("tasks", name)
    assert found.name == name
    assert set(found.kinds) == {*found.inputs} | ({found.reference} if found.reference else set())
    return found


def model(**own: Any) -> ModelSpec:
    return ModelSpec(id="m", backend="b", category="task-specific", settings=own)


def sample(reference: Any = None, n: int = 1, **inputs: Any) -> Sample:
    return Sample(id=str(n), inputs=inputs or {"text": "some text"}, reference=reference)


def score(name: str, outputs: list[Output], samples: list[Sample], **own: Any) -> Any:
    return task(name).score(outputs, samples, model(**own))


# --- token-classification ----------------------------------------------------------------


def test_words_are_asked_as_they_are() -> None:
    asked = sample(tokens=["Ada", "codes"])
    found = task("token-classification").request(asked, model(), DATASET)
    assert found == Words(words=("Ada", "codes"))


def test_entities_count_whole() -> None:
    # Truth: 3 entities. Found: Ada right, Paris too short (wrong), one too many: TP 1 of 3 and 3.
    truth = [["B-PER", "O", "B-LOC", "I-LOC"], ["O", "B-ORG"]]
    found = [["B-PER", "O", "B-LOC", "O"], ["B-ORG", "O"]]
    quality = score(
        "token-classification",
        [Output(data=tags) for tags in found],
        [sample(t, n, tokens=["w"] * len(t)) for n, t in enumerate(truth)],
    )
    assert quality.metric == "entity_f1"
    assert quality.value == pytest.approx(1 / 3)
    assert quality.others["precision"] == pytest.approx(1 / 3)
    assert quality.others["accuracy"] == pytest.approx(3 / 6)


def test_what_was_cut_off_or_dropped_is_outside() -> None:
    asked = [sample(["B-PER", "O", "B-LOC"], tokens=["a", "b", "c"])]
    quality = score("token-classification", [Output(data=["B-PER", None])], asked)
    assert quality.others["recall"] == pytest.approx(1 / 2)
    assert quality.others["precision"] == 1


def test_tags_that_are_no_entities_are_scored_by_word() -> None:
    asked = [sample(["NN", "VB"], tokens=["a", "b"])]
    quality = score("token-classification", [Output(data=["NN", "NN"])], asked)
    assert (quality.metric, quality.value) == ("accuracy", 0.5)


def test_other_names_for_tags_are_said_and_mapped() -> None:
    asked = [sample(["B-PER", "O"], tokens=["a", "b"])]
    answers = [Output(data=["B-person", "O"])]
    with pytest.raises(ModelError, match=r'answers B-person, .* tags are B-PER.*"B-PER" = "B-pers'):
        score("token-classification", answers, asked)
    mapped = score("token-classification", answers, asked, labels={"B-PER": "B-person"})
    assert mapped.value == 1
    with pytest.raises(ModelError, match="did not answer with one tag for each of 2 words"):
        score("token-classification", [Output(data=["O"] * 3)], asked)


# --- fill-mask ---------------------------------------------------------------------------


@given(st.text(min_size=1).filter(str.strip), st.text(min_size=1))
def test_the_word_left_out_is_the_samples_own(text: str, name: str) -> None:
    asked = Sample(id=name, inputs={"text": text})
    before, word, after = split(asked)
    assert before + word + after == text
    assert word.strip()
    assert split(asked) == (before, word, after)
    assert task("fill-mask").request(asked, model(), DATASET) == Masked(before=before, after=after)


def test_a_word_is_found_first_or_among_the_first_five() -> None:
    asked = [Sample(id=str(n), inputs={"text": "Film"}) for n in range(4)]
    guesses = [["film", "x"], ["x", " FILM"], ["x"] * 5, []]
    quality = score("fill-mask", [Output(data=g) for g in guesses], asked)
    assert (quality.metric, quality.value, quality.n) == ("top1_accuracy", 1 / 4, 4)
    assert quality.others == {"top5_accuracy": 2 / 4}
    assert quality.standard_error == pytest.approx(math.sqrt(1 / 4 * 3 / 4 / 4))


# --- images ------------------------------------------------------------------------------


@pytest.fixture
def image(tmp_path: Path) -> Any:
    file = tiny.picture(tmp_path / "x.png", (1, 2, 3))
    return media.with_digest({"path": str(file)})


def test_an_image_is_asked_as_its_file(image: Any) -> None:
    content = Path(image["path"]).read_bytes()
    for name, tokens in (("image-classification", None), ("image-to-text", 20)):
        asked = task(name).request(sample(image=image), model(), DATASET)
        assert asked == Picture(content=content, max_new_tokens=tokens)
    asked = task("image-to-text").request(sample(image=image), model(max_new_tokens=7), DATASET)
    assert asked.max_new_tokens == 7


def test_a_class_is_right_or_wrong() -> None:
    answers = [Output(label=label) for label in ("cat", "cat", "tabby")]
    asked = [sample("cat", 1), sample("dog", 2), sample("cat", 3)]
    quality = score("image-classification", answers, asked)
    assert (quality.metric, quality.value) == ("accuracy", pytest.approx(1 / 3))


def thing(label: str, *bbox: float, score: float = 1.0) -> dict[str, Any]:
    return {"label": label, "bbox": list(bbox), "score": score}


def test_precision_over_boxes_worked_by_hand() -> None:
    truths = [[thing("cat", 0, 0, 100, 100)], [thing("dog", 0, 0, 100, 100)]]
    exact = [[thing("cat", 0, 0, 100, 100)], [thing("dog", 0, 0, 100, 100)]]
    assert mean_average_precision(truths, exact) == pytest.approx((1.0, 1.0))
    # Shifted by 20 of 100: IoU 80/120 = 0.667, which passes 0.50, 0.55, 0.60, 0.65 of ten.
    shifted = [[thing("cat", 20, 0, 100, 100)], [thing("dog", 0, 0, 100, 100)]]
    found = mean_average_precision(truths, shifted)
    assert found == pytest.approx(((0.4 + 1) / 2, 1.0))
    assert mean_average_precision(truths, [[], []]) == (0.0, 0.0)


def test_objects_by_other_names_are_said_and_mapped() -> None:
    asked = [sample([{"label": "cat", "bbox": [0.0, 0.0, 9.0, 9.0]}])]
    answers = [Output(data=[thing("feline", 0, 0, 9, 9, score=0.9)])]
    with pytest.raises(ModelError, match=r'finds feline, .* objects are cat.*"cat" = "feline"'):
        score("object-detection", answers, asked)
    quality = score("object-detection", answers, asked, labels={"cat": "feline"})
    assert (quality.metric, quality.value) == ("map", pytest.approx(1.0))
    assert score("object-detection", [Output(data=[])], [sample([])]) is None
    with pytest.raises(ModelError, match="answer with a list of objects"):
        score("object-detection", [Output(text="cat")], asked)


@pytest.mark.parametrize(
    "name", ["token-classification", "image-classification", "object-detection"]
)
def test_two_labels_with_one_word_are_refused(name: str) -> None:
    task(name).check(model(labels={"a": "x", "b": "y"}), DATASET)
    with pytest.raises(ModelError, match="labels gives two labels the same word"):
        task(name).check(model(labels={"a": "x", "b": "x"}), DATASET)


def test_a_captions_best_reference_counts() -> None:
    asked = [sample(["nothing alike", "a cat sat down"]), sample(["x"], 2)]
    quality = score("image-to-text", [Output(text="a cat sat"), Output(text="")], asked)
    assert quality.value == pytest.approx(6 / 7 / 2)
    assert quality.unreadable == 1


def test_an_image_that_is_made_has_no_quality() -> None:
    drawing = task("text-to-image")
    assert drawing.request(sample(), model(), DATASET) == Draw(prompt="some text")
    made = [Output(counted={"images": 1.0, "pixels": 64.0}, tokens_in=3)] * 2
    assert drawing.score(made, [sample(), sample(n=2)], model()) is None
    assert drawing.counts(made) == {"images": 2, "pixels": 128, "tokens_in": 6}


# --- sound -------------------------------------------------------------------------------


def test_words_that_are_wrong(tmp_path: Path) -> None:
    # Four words each; one substituted, one left out: 2 of 8.
    asked = [sample("The cat sat down."), sample("it rained all day", 2)]
    answers = [Output(text="the CAT sits down"), Output(text="It rained, all")]
    quality = score("automatic-speech-recognition", answers, asked)
    assert (quality.metric, quality.value, quality.n) == ("wer", pytest.approx(2 / 8), 2)
    file = tiny.recording(tmp_path / "x.wav", 0.1)
    value = media.with_digest({"path": str(file)})
    listening = task("automatic-speech-recognition")
    assert listening.request(sample(audio=value), model(), DATASET) == Sound(
        content=file.read_bytes(), max_new_tokens=224
    )
    heard = [Output(counted={"audio_seconds": 0.5}, tokens_out=3)] * 2
    assert listening.counts(heard) == {"audio_seconds": 1.0, "tokens_out": 6.0}


def test_a_transcript_is_compared_without_its_dress() -> None:
    assert plain(" It's  5 o'clock, Ada! ") == "its 5 oclock ada"
    assert score("automatic-speech-recognition", [Output(text="x")], [sample("...")]) is None


# --- texts -------------------------------------------------------------------------------


def test_the_nearest_other_vector_has_the_same_class() -> None:
    vectors = [[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [0.1, 3.0], [1.0, 0.05]]
    assert precision_at_1(vectors, ["a", "a", "b", "b", "b"]) == pytest.approx(3 / 5)
    asked = [sample(c, n) for n, c in enumerate(["a", "a", "b", "b", "b"])]
    quality = score("feature-extraction", [Output(data=v) for v in vectors], asked)
    assert (quality.metric, quality.n) == ("precision_at_1", 5)
    assert quality.value == pytest.approx(3 / 5)


def test_a_vector_of_zeros_is_like_no_other() -> None:
    assert precision_at_1([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], ["a", "a", "a"]) == 0
    vectors = [[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]
    assert precision_at_1(vectors, ["a", "a", "a", "a"]) == pytest.approx(2 / 4)


def test_the_first_vector_of_a_text_counts() -> None:
    asked = [sample("a", 1), sample("a", 2), sample("b", 3), sample("a", 1)]
    vectors = [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.0, 1.0]]
    quality = score("feature-extraction", [Output(data=v) for v in vectors], asked)
    assert (quality.n, quality.value) == (3, pytest.approx(2 / 3))


def test_perplexity_is_by_token_over_all_texts() -> None:
    known = [
        Likelihood(log_likelihood=-3 * math.log(2), tokens=3, utf8_bytes=6),
        Likelihood(log_likelihood=-1 * math.log(4), tokens=1, utf8_bytes=4),
    ]
    outputs = [Output(text="x", likelihood=likelihood) for likelihood in known]
    asked = [sample(n=1), sample(n=2)]
    quality = score("text-generation", outputs, asked)
    assert quality.metric == "perplexity"
    assert quality.value == pytest.approx(2 ** (5 / 4))
    assert quality.others == {"bits_per_byte": pytest.approx(5 / 10)}
    assert score("text-generation", [outputs[0], Output(text="y")], asked) is None


@pytest.mark.parametrize(
    "name", ["token-classification", "fill-mask", "image-classification", "object-detection",
             "image-to-text", "automatic-speech-recognition"],
)  # fmt: skip
def test_nothing_to_score(name: str) -> None:
    assert score(name, [], []) is None


@pytest.mark.parametrize(
    ("name", "answer"),
    [("fill-mask", ["text"]), ("token-classification", ["O"])],
)
def test_a_sample_asked_twice_counts_once(name: str, answer: Any) -> None:
    reference = ["O"] if name == "token-classification" else None
    asked = [sample(reference, text="text", tokens=["text"])] * 2
    quality = score(name, [Output(data=answer), Output(data=[])], asked)
    assert (quality.n, quality.value) == (1, 1.0)
