"""token-classification: tag every word of a text, for example with named entities.

Scored as CoNLL-2000 and -2003 are (conlleval), by seqeval (Nakayama, 2018): F1 of whole entities,
micro-averaged. A dataset whose tags are not IOB tags (parts of speech, for example) is
scored by the accuracy per word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from permille.errors import ModelError
from permille.metrics import pseudo_values, ratios_without, scored
from permille.records.answers import Quality
from permille.tasks.generating import distinct
from permille.tasks.labelling import check_words, meaning_of
from permille.tasks.prompting import check_installed, token_counts
from permille.workload.outputs import Output
from permille.workload.protocols import Kind, Task
from permille.workload.requests import Words
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec


class TokenClassification:
    """The task, as a plug-in."""

    name = "token-classification"
    inputs: tuple[str, ...] = ("tokens",)
    reference: str | None = "tags"
    kinds: Mapping[str, Kind] = {"tokens": "words", "tags": "tags"}

    def check(self, model: ModelSpec, dataset: Dataset) -> None:
        """Check that the scorer is installed, and each tag has its own word.

        Raises:
            ModelError: one of these does not hold.
        """
        check_words(model)
        check_installed(self.name, ("seqeval",))

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Words:
        """The words."""
        return Words(words=tuple(sample.inputs["tokens"]))

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """F1 of the entities, with precision, recall and accuracy per word in ``others``; None for
        a dataset without tags.

        Raises:
            ModelError: an answer does not have one tag per word, or none of the model's tags is one
                of the dataset's, so that its score would be 0 only because of their names.
        """
        first = {s.id: (o, s) for o, s in reversed(list(zip(outputs, samples, strict=True)))}
        pairs = [first[i] for i in dict.fromkeys(s.id for s in samples)]
        if not pairs or any(sample.reference is None for _, sample in pairs):
            return None
        truths = [list(sample.reference) for _, sample in pairs]
        answers = [_tags(output, sample, model) for output, sample in pairs]
        _check_names(truths, answers, model)
        flat = [t == a for ts, given in zip(truths, answers, strict=True)
                for t, a in zip(ts, given, strict=True)]  # fmt: skip
        accuracy = sum(flat) / len(flat)
        if not _entities(truths):
            right = [
                sum(t == a for t, a in zip(ts, given, strict=True))
                for ts, given in zip(truths, answers, strict=True)
            ]
            without = ratios_without(right, [len(ts) for ts in truths])
            return scored(
                "accuracy", pseudo_values(accuracy, without), distinct(samples), value=accuracy
            )
        from seqeval.metrics import f1_score, precision_score, recall_score

        # In seqeval's default mode, which is conlleval's: the strict one rejects an I- without its
        # B-.
        value = float(f1_score(truths, answers, zero_division=0))
        return scored(
            "entity_f1",
            pseudo_values(value, ratios_without(*_entity_counts(truths, answers))),
            distinct(samples),
            value=value,
            others={
                "precision": float(precision_score(truths, answers, zero_division=0)),
                "recall": float(recall_score(truths, answers, zero_division=0)),
                "accuracy": accuracy,
            },
        )

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """Tokens in, if they are known for every text."""
        return token_counts(outputs)


def _tags(output: Output, sample: Sample, model: ModelSpec) -> list[str]:
    """An answer's tags, mapped to the dataset's. Words without a tag (None), or beyond the model's
    longest input, are outside any entity."""
    meaning = meaning_of(model)
    answered = output.data
    wanted = len(sample.reference)
    if not isinstance(answered, list | tuple) or len(answered) > wanted:
        raise ModelError(
            f"model {model.id!r} did not answer with one tag for each of {wanted} words"
        )
    tags = ["O" if tag is None else meaning.get(str(tag), str(tag)) for tag in answered]
    return tags + ["O"] * (wanted - len(tags))


def _entities(truths: Sequence[Sequence[str]]) -> bool:
    tags = {tag for sentence in truths for tag in sentence}
    named = tags - {"O"}
    return bool(named) and all(tag[:2] in ("B-", "I-") for tag in named)


def _entity_counts(
    truths: Sequence[Sequence[str]], answers: Sequence[Sequence[str]]
) -> tuple[list[int], list[int]]:
    """For each sentence: twice the number of correctly found entities, and the number of true plus
    found ones. The F1 of a set of sentences is the ratio of the two sums."""
    from seqeval.metrics.sequence_labeling import get_entities

    right, there = [], []
    for tags, given in zip(truths, answers, strict=True):
        true, predicted = set(get_entities(list(tags))), set(get_entities(list(given)))
        right.append(2 * len(true & predicted))
        there.append(len(true) + len(predicted))
    return right, there


def _check_names(
    truths: Sequence[Sequence[str]], answers: Sequence[Sequence[str]], model: ModelSpec
) -> None:
    ours = {tag for sentence in truths for tag in sentence} - {"O"}
    theirs = {tag for sentence in answers for tag in sentence} - {"O"}
    if ours and theirs and not ours & theirs:
        raise ModelError(
            f"model {model.id!r} answers {', '.join(sorted(theirs)[:10])}, but the dataset's tags"
            f" are {', '.join(sorted(ours)[:10])}; say which is which:"
            f' labels = {{ "{min(ours)}" = "{min(theirs)}", … }}'
        )


task: Task = TokenClassification()
