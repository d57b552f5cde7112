"""Tasks: what one inference is. One module a task, each a plug-in (``permille.tasks``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from permille.backends import ModelSpec, Output
from permille.datasets import Dataset, Sample
from permille.records import Quality

Kind = Literal["text", "label", "texts", "words", "tags", "image", "audio", "objects"]
"""What a column holds: free text; the name of a class; any number of texts, all of them right
(a list, one text, or SQuAD's ``{"text": […]}``); a list of words, and of their tags; the path of
an image or a recording; the objects in an image, ``[{"label": …, "bbox": [x, y, width, height]}]``
in pixels (COCO's)."""


class Task(Protocol):
    """What a plug-in registers: a module-level object of this shape."""

    name: str
    """The Hub's name of the task."""
    inputs: tuple[str, ...]
    """Columns that a dataset must have, by the task's own names."""
    reference: str | None
    """The column that answers are scored against, or None. A task with ``optional_reference =
    True`` besides does without, unless the study file names the column."""
    kinds: Mapping[str, Kind]
    """What each of these columns holds."""

    def check(self, model: ModelSpec, dataset: Dataset) -> None:
        """Whether this model can be asked about this dataset (prompt, labels).

        Raises:
            ModelError: with one line: what, where, how to mend it.
        """
        ...

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Any:
        """One sample as a request for this model; made before the span."""
        ...

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """Quality of ``outputs[i]`` as the answer to ``samples[i]``; outside the span."""
        ...

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """What was processed (tokens, images, …), summed over the outputs."""
        ...
