"""translation: a text in another language. Scored by sacreBLEU's BLEU and chrF (Post, 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from permille.backends import ModelSpec, Output
from permille.datasets import Sample
from permille.records import Quality
from permille.tasks import Kind, Task
from permille.tasks.generating import Generating, answered


class Translation(Generating):
    """The task, as a plug-in."""

    name = "translation"
    reference: str | None = "translation"
    kinds: Mapping[str, Kind] = {"text": "text", "translation": "text"}
    tokens = 128
    libraries = ("sacrebleu",)
    example = "Translate to French: {text}\\nFrench:"

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """BLEU of the whole corpus, chrF beside it, both 0 to 1 (sacreBLEU's over 100). A measure
        of a corpus has no standard error from its samples."""
        import sacrebleu

        pairs, blank = answered(outputs, samples)
        if not pairs:
            return None
        answers, references = [a for a, _ in pairs], [[r for _, r in pairs]]
        return Quality(
            metric="bleu",
            value=sacrebleu.corpus_bleu(answers, references).score / 100,
            n=len(pairs),
            unreadable=blank,
            others={"chrf": sacrebleu.corpus_chrf(answers, references).score / 100},
        )


task: Task = Translation()
