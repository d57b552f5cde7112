"""fill-mask: predict a word that was left out of a text.

The choice of the word depends only on the sample's id, so that every model gets the same one.
Scored by the share of words that are the model's first choice, and of those among its first five. A
model whose vocabulary has no single token for a word cannot answer it, and is wrong.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from permille.metrics import scored
from permille.records.answers import Quality
from permille.tasks.prompting import token_counts
from permille.workload.outputs import Output
from permille.workload.protocols import Kind, Task
from permille.workload.requests import Masked
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec

FIRST = 5
_WORD = re.compile(r"[^\W\d_]{2,}")
_REACH = 1_000
"""The word is among the first thousand characters, because models truncate long texts."""


class FillMask:
    """The task, as a plug-in."""

    name = "fill-mask"
    inputs: tuple[str, ...] = ("text",)
    reference: str | None = None
    kinds: Mapping[str, Kind] = {"text": "text"}

    def check(self, model: ModelSpec, dataset: Dataset) -> None:
        """Any model fits any dataset."""

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Masked:
        """The text without one of its words."""
        before, _, after = split(sample)
        return Masked(before=before, after=after)

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """Top-1 accuracy with its standard error, and top-5 accuracy in ``others``."""
        ranks: dict[str, int | None] = {}
        for output, sample in zip(outputs, samples, strict=True):
            # Without case: an uncased model has only words in lower case.
            word = split(sample)[1].casefold()
            guesses = [str(guess).strip().casefold() for guess in output.data or ()]
            ranks.setdefault(sample.id, guesses.index(word) if word in guesses else None)
        n = len(ranks)
        if not n:
            return None
        among = sum(rank is not None and rank < FIRST for rank in ranks.values()) / n
        return scored(
            "top1_accuracy",
            [float(rank == 0) for rank in ranks.values()],
            ranks,
            others={f"top{FIRST}_accuracy": among},
        )

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """Tokens in, if they are known for every text."""
        return token_counts(outputs)


def split(sample: Sample) -> tuple[str, str, str]:
    """The text before the word that is left out, the word, and the text after it."""
    text = str(sample.inputs["text"])
    words = list(_WORD.finditer(text[:_REACH])) or list(re.finditer(r"\S+", text))
    # Not hash(), which differs from process to process:
    # https://docs.python.org/3/using/cmdline.html#envvar-PYTHONHASHSEED
    number = int.from_bytes(hashlib.sha256(sample.id.encode()).digest()[:8], "big")
    chosen = words[number % len(words)]
    return text[: chosen.start()], chosen.group(), text[chosen.end() :]


task: Task = FillMask()
