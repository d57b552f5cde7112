"""text-generation: continue a text.

Continuations are not scored, because there is no reference. If the backend can compute the
likelihood of the dataset's own texts, quality is their perplexity per token: the exponential of the
mean negative log-likelihood. It depends on the tokenizer, so bits per byte, which are comparable,
are given too. Lower is better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from permille.metrics import pseudo_values, ratios_without, scored
from permille.records.answers import Quality
from permille.tasks.generating import Generating
from permille.workload.outputs import Output
from permille.workload.protocols import Task
from permille.workload.samples import Sample
from permille.workload.specs import ModelSpec

MOST_NATS = 80.0
"""The largest loss per token: no vocabulary has e^80 words, and scores are stored in single
precision."""


class TextGeneration(Generating):
    """The task, as a plug-in."""

    name = "text-generation"
    needs_prompt = False

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """The perplexity of the prompts, if every likelihood is known; otherwise None."""
        first = {s.id: o for o, s in reversed(list(zip(outputs, samples, strict=True)))}
        known = [o.likelihood for o in first.values() if o.likelihood is not None]
        tokens = sum(likelihood.tokens for likelihood in known)
        # Of a part of the texts, it could not be compared with another model's.
        if len(known) < len(first) or not tokens:
            return None
        nats = -sum(likelihood.log_likelihood for likelihood in known)
        size = sum(likelihood.utf8_bytes for likelihood in known)
        value = _perplexity(nats / tokens)
        means = ratios_without(
            [-likelihood.log_likelihood for likelihood in known], [k.tokens for k in known]
        )
        return scored(
            "perplexity",
            pseudo_values(value, [_perplexity(mean) for mean in means]),
            first,
            value=value,
            others={"bits_per_byte": nats / math.log(2) / size},
        )


def _perplexity(nats_per_token: float) -> float:
    return math.exp(min(nats_per_token, MOST_NATS))


task: Task = TextGeneration()
