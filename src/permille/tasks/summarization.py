"""summarization: shorten a text. Scored by ROUGE (Lin, 2004), F-measure with stemming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from permille.records.answers import Quality
from permille.tasks.generating import Generating, answered, mean_quality
from permille.workload.outputs import Output
from permille.workload.protocols import Kind, Task
from permille.workload.samples import Sample
from permille.workload.specs import ModelSpec

_METRICS = ("rougeL", "rouge1", "rouge2")


class Summarization(Generating):
    """The task, as a plug-in."""

    name = "summarization"
    reference: str | None = "summary"
    kinds: Mapping[str, Kind] = {"text": "text", "summary": "text"}
    libraries = ("rouge_score",)
    example = "Summarise: {text}\\nSummary:"

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """ROUGE-L, with ROUGE-1 and ROUGE-2 in ``others``, 0 to 1: means over the samples."""
        from rouge_score.rouge_scorer import RougeScorer

        pairs, blank = answered(outputs, samples)
        scorer = RougeScorer(list(_METRICS), use_stemmer=True)
        scored = [scorer.score(reference, answer) for answer, reference in pairs]
        scores = {metric: [f[metric].fmeasure for f in scored] for metric in _METRICS}
        return mean_quality("rougeL", scores, samples, unreadable=blank)


task: Task = Summarization()
