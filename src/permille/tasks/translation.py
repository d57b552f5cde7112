"""translation: translate a text. Scored by sacreBLEU's BLEU and chrF (Post, 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from permille.metrics import pseudo_values, scored
from permille.records.answers import Quality
from permille.tasks.generating import Generating, answered, distinct
from permille.workload.outputs import Output
from permille.workload.protocols import Kind, Task
from permille.workload.samples import Sample
from permille.workload.specs import ModelSpec


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
        """BLEU of the whole corpus, with chrF in ``others``; both 0 to 1 (sacreBLEU's divided by
        100)."""
        import sacrebleu

        pairs, blank = answered(outputs, samples)
        if not pairs:
            return None
        # sacreBLEU takes lists of references, each as long as the answers; here there is one.
        answers, references = [a for a, _ in pairs], [[r for _, r in pairs]]
        value = sacrebleu.corpus_bleu(answers, references).score / 100
        return scored(
            "bleu",
            pseudo_values(value, _without_each(pairs)),
            distinct(samples),
            value=value,
            unreadable=blank,
            others={"chrf": sacrebleu.corpus_chrf(answers, references).score / 100},
        )


def _without_each(pairs: Sequence[tuple[str, Any]]) -> list[float]:
    """BLEU without each pair in turn, from the pairs' counts, which add up over a corpus."""
    import sacrebleu
    from sacrebleu.metrics.bleu import BLEU

    each = [sacrebleu.corpus_bleu([answer], [[reference]]) for answer, reference in pairs]
    rows = [[*e.counts, *e.totals, e.sys_len, e.ref_len] for e in each]
    sums = [sum(column) for column in zip(*rows, strict=True)]
    scores = []
    for row in rows:
        rest = [total - own for total, own in zip(sums, row, strict=True)]
        # As corpus_bleu() does by default: n-grams of up to four words, "exp" smoothing.
        score = BLEU.compute_bleu(rest[:4], rest[4:8], rest[8], rest[9], smooth_method="exp")
        scores.append(score.score / 100)
    return scores


task: Task = Translation()
