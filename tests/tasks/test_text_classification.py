from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.errors import ModelError
from permille.tasks.labelling import macro_f1
from permille.tasks.text_classification import task
from permille.workload.outputs import Output
from permille.workload.requests import Choice, Text
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec

LABELS = ("negative", "positive")
PAIRS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["a", "b", "c", "d", None])), min_size=1
)


def model(category: Any = "task-specific", prompt: str | None = None, **own: Any) -> ModelSpec:
    return ModelSpec(id="m", backend="b", category=category, prompt=prompt, settings=own)


def dataset(*labels: str) -> Dataset:
    return Dataset(name="d", samples=(), digest="", labels=labels or LABELS)


def samples(*references: str) -> list[Sample]:
    return [Sample(id=str(n), inputs={"text": "t"}, reference=r) for n, r in enumerate(references)]


def answers(*labels: str | None) -> list[Output]:
    return [Output(label=label) for label in labels]


def test_a_task_specific_model_gets_the_text_alone() -> None:
    sample = Sample(id="1", inputs={"text": "{label}"}, reference="x")
    assert task.request(sample, model(), dataset()) == Text(text="{label}")


def test_a_general_purpose_model_gets_its_prompt_and_its_words() -> None:
    asked = model(
        "general-purpose", "Q {x} {{y}}: {text}\nA:", labels={"positive": " P", "negative": " N"}
    )
    sample = Sample(id="1", inputs={"text": "braces {text} {0} {"}, reference="x")
    assert task.request(sample, asked, dataset()) == Choice(
        prompt="Q {x} {{y}}: braces {text} {0} {\nA:", choices=(" N", " P")
    )


def test_without_words_the_datasets_labels_are_the_choices() -> None:
    sample = Sample(id="1", inputs={"text": "t"}, reference="x")
    request = task.request(sample, model("general-purpose", "{text}"), dataset("a", "b", "c"))
    assert request == Choice(prompt="t", choices=("a", "b", "c"))


@pytest.mark.parametrize(
    ("asked", "of", "says"),
    [
        (model("general-purpose"), dataset(), r"needs a prompt with \{text\}"),
        (model("general-purpose", "Sentiment:"), dataset(), r"needs a prompt with \{text\}"),
        (model(), dataset("x"), "has 1 distinct labels"),
        (
            model(labels={"POS": "x", "negative": "y"}),
            dataset(),
            "labels maps 'POS', 'negative', but dataset 'd' has 'negative', 'positive'",
        ),
        (model(labels={"positive": "x"}), dataset(), "map each of its labels"),
        (model(labels={"positive": "x", "negative": "x"}), dataset(), "the same word"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(
    asked: ModelSpec, of: Dataset, says: str
) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        task.check(asked, of)
    assert "\n" not in str(caught.value)


def test_what_fits_passes() -> None:
    task.check(model(labels={"positive": "P", "negative": "N"}), dataset())
    task.check(model("general-purpose", "{text}:"), dataset())


def test_accuracy_and_its_standard_error() -> None:
    quality = task.score(
        answers("a", "a", "b", None, "zzz"), samples("a", "a", "a", "b", "b"), model()
    )
    assert quality is not None
    assert quality.metric == "accuracy"
    assert quality.value == pytest.approx(2 / 5)
    assert quality.standard_error == pytest.approx(math.sqrt(0.4 * 0.6 / 5))
    assert (quality.n, quality.unreadable) == (5, 1)
    # a: 2 hits of 3, no false answer: 4/5; b: no hit: 0.
    assert quality.others == {"macro_f1": pytest.approx(2 / 5)}


def test_the_models_words_are_read_as_the_datasets_labels() -> None:
    words = model(labels={"positive": "LABEL_1", "negative": "LABEL_0"})
    quality = task.score(answers("LABEL_1", "LABEL_1"), samples("positive", "negative"), words)
    assert quality is not None
    assert quality.value == 0.5


def test_words_that_swap_the_datasets_labels_are_swapped_back() -> None:
    swapped = model(labels={"a": "b", "b": "a"})
    quality = task.score(answers("b", "a"), samples("a", "b"), swapped)
    assert quality is not None
    assert quality.value == 1.0


def test_names_that_never_match_are_an_error_not_an_accuracy_of_0() -> None:
    with pytest.raises(ModelError, match=r"answers 'NEG', 'POS', but .* 'negative', 'positive'"):
        task.score(answers("POS", "NEG"), samples("positive", "negative"), model())


def test_a_sample_asked_twice_counts_once() -> None:
    twice = samples("a", "b") * 2
    quality = task.score(answers("a", "a", "a", "b"), twice, model())
    assert quality is not None
    assert (quality.n, quality.value) == (2, 0.5)


def test_nothing_to_score() -> None:
    assert task.score([], [], model()) is None


def test_counts_are_sums_or_missing() -> None:
    counted = [Output(tokens_in=3, tokens_out=0), Output(tokens_in=4)]
    assert task.counts(counted) == {"tokens_in": 7.0}
    assert task.counts([]) == {}


def test_macro_f1_of_a_confusion_matrix_worked_by_hand() -> None:
    # a: TP 3, FN 1, FP 1 -> 6/8; b: TP 1, FN 2, FP 1 -> 2/5; c: TP 2, FN 0, FP 1 -> 4/5.
    pairs = (
        [("a", "a")] * 3 + [("a", "b")] + [("b", "b"), ("b", "a"), ("b", "c")] + [("c", "c")] * 2
    )
    assert macro_f1(pairs) == pytest.approx((6 / 8 + 2 / 5 + 4 / 5) / 3)


@given(PAIRS)
def test_macro_f1_is_the_mean_of_harmonic_means(pairs: list[tuple[str, str | None]]) -> None:
    scores = []
    for label in {truth for truth, _ in pairs}:
        hits = sum(t == a == label for t, a in pairs)
        precision = hits / max(sum(a == label for _, a in pairs), 1)
        recall = hits / sum(t == label for t, _ in pairs)
        scores.append(2 * precision * recall / (precision + recall) if hits else 0.0)
    assert macro_f1(pairs) == pytest.approx(sum(scores) / len(scores))


@given(PAIRS, st.randoms(use_true_random=False))
def test_macro_f1_is_a_share_blind_to_order(
    pairs: list[tuple[str, str | None]], random: Any
) -> None:
    shuffled = pairs[:]
    random.shuffle(shuffled)
    assert 0 <= macro_f1(pairs) <= 1
    assert macro_f1(shuffled) == pytest.approx(macro_f1(pairs))
    assert macro_f1([(truth, truth) for truth, _ in pairs]) == 1
