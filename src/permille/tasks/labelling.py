"""Score answers that are one of the dataset's labels. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from permille.errors import ModelError
from permille.metrics import scored
from permille.records.answers import Quality
from permille.workload.outputs import Output
from permille.workload.samples import Sample
from permille.workload.specs import ModelSpec


def label_quality(
    outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
) -> Quality | None:
    """Accuracy, with its standard error; macro-F1 in ``others``. None without samples.

    An answer without a label is wrong and counted as unreadable. A sample that was used more than
    once counts once, by its first answer.

    Raises:
        ModelError: the model's labels are not the dataset's, so that its accuracy would be 0 only
            because of their names.
    """
    meaning = meaning_of(model)
    answers: dict[str, tuple[str, str | None]] = {}
    for output, sample in zip(outputs, samples, strict=True):
        raw = output.label
        answer = None if raw is None else meaning.get(raw, raw)
        answers.setdefault(sample.id, (sample.reference, answer))
    if not answers:
        return None
    pairs = list(answers.values())
    _check_names(pairs, model)
    return scored(
        "accuracy",
        [float(truth == answer) for truth, answer in pairs],
        answers,
        unreadable=sum(answer is None for _, answer in pairs),
        others={"macro_f1": macro_f1(pairs)},
    )


def macro_f1(pairs: Sequence[tuple[str, str | None]]) -> float:
    """The mean over the true labels of 2 TP / (2 TP + FP + FN), of (truth, answer) pairs.

    An answer that is not a label of the dataset only counts as a false negative for the true one.

    Raises:
        ValueError: there are no pairs.
    """
    labels = {truth for truth, _ in pairs}
    if not labels:
        raise ValueError("no answers to score")
    scores = []
    # Sorted: the order of a set differs between processes, and with it the last bit of the sum.
    for label in sorted(labels):
        hits = sum(truth == answer == label for truth, answer in pairs)
        truths = sum(truth == label for truth, _ in pairs)
        answers = sum(answer == label for _, answer in pairs)
        scores.append(2 * hits / (truths + answers))
    return sum(scores) / len(scores)


def words_of(model: ModelSpec) -> Mapping[str, str]:
    """The dataset's label -> the model's word for it, if the study file maps them."""
    return model.settings.get("labels") or {}


def meaning_of(model: ModelSpec) -> dict[str, str]:
    """The model's word -> the dataset's label, if the study file maps them."""
    return {word: label for label, word in words_of(model).items()}


def check_words(model: ModelSpec) -> None:
    """Check that no two labels have the same word, of which only one could ever be right.

    Raises:
        ModelError: two have.
    """
    words = words_of(model)
    if len(set(words.values())) < len(words):
        raise ModelError(f"model {model.id!r}: labels gives two labels the same word")


def _check_names(pairs: Sequence[tuple[str, str | None]], model: ModelSpec) -> None:
    truths = {truth for truth, _ in pairs}
    answers = {answer for _, answer in pairs if answer is not None}
    # Of a single class, a model may miss every sample without its names being others.
    if answers and not answers & truths and len(truths) > 1:
        raise ModelError(
            f"model {model.id!r} answers {listed(answers)}, but the dataset's labels are "
            f"{listed(truths)}; map them: labels = {{ {_example(truths, answers)} }}"
        )


def _example(truths: set[str], answers: set[str]) -> str:
    return f'"{min(truths)}" = "{min(answers)}", …'


def listed(labels: Sequence[str] | set[str] | Mapping[str, str]) -> str:
    """The first ten labels, in order, for a message."""
    shown = sorted(labels)
    return ", ".join(map(repr, shown[:10])) + (", …" if len(shown) > 10 else "")
