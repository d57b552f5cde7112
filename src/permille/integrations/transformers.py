"""Hugging Face transformers: spans around the calls of a pipeline, and around ``generate``.

::

    with permille.record() as rec:
        classify = pipeline_with_spans(rec, transformers.pipeline("text-classification", …))
        classify(["good", "bad"])
    print(rec["pipeline"].kwh_per_1000)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from permille.api.session import Session
from permille.finishing import wait_for


def pipeline_with_spans(
    rec: Session, pipeline: Callable[..., Any], *, name: str = "pipeline"
) -> Callable[..., Any]:
    """The pipeline as a function, each call of which is a span with the number of its inputs. For a
    dataset or a generator of inputs, the pipeline is run to its end within the span, and the
    outputs are returned as a list. The number is unknown, and so is the energy per 1,000, if all
    inputs are keyword arguments.

    Raises (at the call):
        UsageError: as :meth:`permille.Session.span`.
    """

    def call(*arguments: Any, **settings: Any) -> Any:
        with rec.span(name) as span:
            outputs = pipeline(*arguments, **settings)
            if hasattr(outputs, "__next__"):  # an iterator, which works when it is consumed
                outputs = list(outputs)
                number = len(outputs)
            else:
                number = _inputs(arguments[0]) if arguments else 0
            wait_for(outputs)
            if number:
                span.inferences = number
        return outputs

    return call


def generate_with_spans(rec: Session, model: Any, *, name: str = "generate") -> Callable[..., Any]:
    """``model.generate``, each call of which is a span with the number of its prompts. The number
    is unknown, and so is the energy per 1,000, if the model starts from nothing.

    Raises (at the call):
        UsageError: as :meth:`permille.Session.span`.
    """

    def generate(*arguments: Any, **settings: Any) -> Any:
        # generate() takes its prompts as its first argument, or by the name of their kind.
        given = [*arguments[:1], *(settings.get(key) for key in _PROMPTS)]
        prompts = next((each for each in given if each is not None), None)
        with rec.span(name) as span:
            outputs = model.generate(*arguments, **settings)
            wait_for(outputs)
            if prompts is not None and len(prompts):
                span.inferences = len(prompts)
        return outputs

    return generate


# Images come last: a model of images and text gets both, and a prompt may have several images.
_PROMPTS = ("inputs", "input_ids", "inputs_embeds", "input_features", "pixel_values")


def _inputs(inputs: Any) -> int:
    """How many inputs a pipeline was given: a chat, which is a list of messages, is one."""
    # Other datasets are streamed, but a pipeline makes a list of one whose items are chats.
    several = isinstance(inputs, list | tuple) or _is_dataset(inputs)
    return len(inputs) if several and not _is_chat(inputs) else 1


def _is_dataset(inputs: Any) -> bool:
    # Looked up and not imported: a pipeline that gets such a dataset has loaded torch.
    data = sys.modules.get("torch.utils.data")
    return data is not None and isinstance(inputs, data.Dataset)


def _is_chat(inputs: Any) -> bool:
    # By the first message alone, as transformers decides it.
    return len(inputs) > 0 and isinstance(inputs[0], Mapping) and "role" in inputs[0]
