"""text-generation: a text is continued. One inference is one continuation.

There is no quality: the probability of a reference needs the model's logits, which backends that
serve text do not give, and a continuation has no one right answer.
"""

from __future__ import annotations

from permille.tasks import Task
from permille.tasks.generating import Generating


class TextGeneration(Generating):
    """The task, as a plug-in."""

    name = "text-generation"
    needs_prompt = False


task: Task = TextGeneration()
