"""question-answering: answer a question from a context.

A task-specific model marks a span of the context; a general-purpose model is given its prompt with
``{question}`` and ``{context}`` in it and answers in its own words, of which the first line counts.

Scored as SQuAD is (Rajpurkar et al., 2016): words in lower case without punctuation and English
articles; the best over the accepted answers. For a question without any (SQuAD 2), only
an empty answer is correct.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from permille.records.answers import Quality
from permille.tasks.generating import Generating, answered, mean_quality
from permille.workload.outputs import Output
from permille.workload.protocols import Kind, Task
from permille.workload.requests import Question
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec


class QuestionAnswering(Generating):
    """The task, as a plug-in."""

    name = "question-answering"
    inputs: tuple[str, ...] = ("question", "context")
    reference: str | None = "answers"
    kinds: Mapping[str, Kind] = {"question": "text", "context": "text", "answers": "texts"}
    tokens = 16
    example = "{context}\\nQuestion: {question}\\nAnswer:"

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Any:
        """Question and context, or the prompt with both."""
        if model.category == "task-specific" and model.prompt is None:
            return Question(**{name: sample.inputs[name] for name in self.inputs})
        return super().request(sample, model, dataset)

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """F1 of the words, with exact match in ``others``: means over the samples."""
        pairs, blank = answered(outputs, samples)
        lines = [(answer.partition("\n")[0], accepted) for answer, accepted in pairs]
        scores = {
            "f1": [max(f1(answer, a) for a in accepted or [""]) for answer, accepted in lines],
            "exact_match": [
                float(any(words(answer) == words(a) for a in accepted or [""]))
                for answer, accepted in lines
            ],
        }
        unreadable = blank if model.category == "general-purpose" else 0
        return mean_quality("f1", scores, samples, unreadable=unreadable)


def words(text: str) -> list[str]:
    """The words of an answer, as SQuAD compares them."""
    # Punctuation first, as in SQuAD's script: the "a" of "rock-a-bye" is no article.
    plain = text.lower().translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def f1(answer: str, accepted: str) -> float:
    """The F1 of the words of two answers: 2 × common / all. Two empty answers are equal."""
    given, wanted = words(answer), words(accepted)
    if not given or not wanted:
        return float(given == wanted)
    common = sum((Counter(given) & Counter(wanted)).values())
    return 2 * common / (len(given) + len(wanted))


task: Task = QuestionAnswering()
