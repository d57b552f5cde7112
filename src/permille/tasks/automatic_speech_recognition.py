"""automatic-speech-recognition: transcribe a recording. One recording is one inference.

Scored by the word error rate over the whole dataset, by jiwer: insertions, deletions and
substitutions over the words of the reference, in lower case and without punctuation. Lower is
better.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

from permille.metrics import pseudo_values, ratios_without, scored
from permille.records.answers import Quality
from permille.tasks.generating import Generating, answered, distinct
from permille.tasks.picturing import media_counts, sound
from permille.tasks.prompting import limit
from permille.workload.outputs import Output
from permille.workload.protocols import Kind, Task
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec


class AutomaticSpeechRecognition(Generating):
    """The task, as a plug-in."""

    name = "automatic-speech-recognition"
    inputs: tuple[str, ...] = ("audio",)
    reference: str | None = "text"
    kinds: Mapping[str, Kind] = {"audio": "audio", "text": "text"}
    # Half of Whisper's 448 positions, as in OpenAI's own decoding (sample_len).
    tokens = 224
    libraries = ("jiwer",)
    needs_prompt = False

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Any:
        """The encoded recording."""
        return sound(sample, limit(model, self.tokens))

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """The word error rate, with the character error rate in ``others``."""
        import jiwer

        pairs, blank = answered(outputs, samples)
        # Without the recordings of which nothing is left (silence, a mere "..."): a rate over no
        # words has no value.
        transcripts = {
            name: (plain(answer), plain(reference))
            for name, (answer, reference) in zip(distinct(samples), pairs, strict=True)
            if plain(reference)
        }
        if not transcripts:
            return None
        answers, references = (
            [a for a, _ in transcripts.values()],
            [r for _, r in transcripts.values()],
        )
        each = [jiwer.process_words(r, a) for a, r in transcripts.values()]
        wrong = [o.substitutions + o.deletions + o.insertions for o in each]
        words = [o.hits + o.substitutions + o.deletions for o in each]
        # Over all words: in a mean over recordings, a short one would weigh like a long one.
        value = sum(wrong) / sum(words)
        return scored(
            "wer",
            pseudo_values(value, ratios_without(wrong, words)),
            transcripts,
            value=value,
            unreadable=blank,
            others={"cer": float(jiwer.cer(references, answers))},
        )

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """Seconds of audio, and the number of tokens written."""
        return media_counts(outputs) | super().counts(outputs)


def plain(text: str) -> str:
    """A transcript normalised for comparison: lower case, no punctuation, single blanks."""
    kept = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(kept.split())


task: Task = AutomaticSpeechRecognition()
