"""chat: answer one user message, formatted by the model's own chat template.

The message is the text, or the model's prompt with the text in it. There is no quality:
no reference exists, and a judge would be another model.
"""

from __future__ import annotations

from permille.tasks.generating import Generating
from permille.tasks.prompting import limit
from permille.workload.protocols import Task
from permille.workload.requests import Chat
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import ModelSpec


class ChatTask(Generating):
    """The task, as a plug-in."""

    name = "chat"
    tokens = 256
    needs_prompt = False

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Chat:
        """The one message."""
        return Chat(
            messages=(("user", self.prompt(sample, model)),),
            max_new_tokens=limit(model, self.tokens),
        )


task: Task = ChatTask()
