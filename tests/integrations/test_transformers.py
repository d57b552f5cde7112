"""Pipelines and ``generate`` of the real library, with tiny models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import permille
from permille.errors import UsageError
from permille.integrations.transformers import generate_with_spans, pipeline_with_spans
from tests.powercap import Driver
from tests.tiny_models import WORDS, bert, seed

pytestmark = [pytest.mark.slow, pytest.mark.measuring]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import transformers

    folder = tmp_path_factory.mktemp("bert")
    bert(folder, "BertForSequenceClassification")
    return transformers.pipeline("text-classification", model=str(folder), device="cpu")


def test_each_call_of_a_pipeline_is_a_span_with_its_inputs(
    machine: Driver, classifier: Any
) -> None:
    def stream() -> Iterator[str]:
        yield from ["a good film", "a bad film", "ada"]

    with permille.record() as rec:
        classify = pipeline_with_spans(rec, classifier)
        one = classify("a good film")
        two = classify(["a good film", "a bad film"], batch_size=2)
        three = classify(stream())
    assert [len(one), len(two), len(three)] == [1, 2, 3]
    assert two[0] == one[0]
    assert isinstance(three, list)
    spans = rec.measured("pipeline")
    assert [span.phase.inferences for span in spans] == [1, 2, 3]


def test_a_chat_is_one_input(machine: Driver) -> None:
    def answer(messages: Any) -> list[str]:
        return ["hello"]

    message = {"role": "user", "content": "hello"}
    with permille.record() as rec:
        chat = pipeline_with_spans(rec, answer)
        chat([message, message])
        chat([[message], [message], [message]])
        chat([])
    spans = rec.measured("pipeline")
    assert [span.phase.inferences for span in spans] == [1, 3, None]


def test_a_dataset_of_chats_is_as_many_inputs(machine: Driver) -> None:
    from transformers.pipelines.pt_utils import KeyDataset

    def answer(chats: Any) -> list[str]:  # transformers streams other datasets, and lists these
        return ["hello" for _ in chats]

    message = {"role": "user", "content": "hello"}
    with permille.record() as rec:
        chat = pipeline_with_spans(rec, answer)
        chat(KeyDataset([{"messages": [message]}] * 3, "messages"))
    (span,) = rec.measured("pipeline")
    assert span.phase.inferences == 3


def test_generate_is_a_span_with_its_prompts(machine: Driver) -> None:
    import torch
    import transformers

    seed()
    config = transformers.GPT2Config(
        vocab_size=len(WORDS), n_positions=32, n_embd=16, n_layer=1, n_head=2,
        bos_token_id=0, eos_token_id=5, pad_token_id=0,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config).eval()
    prompts = torch.tensor([[6, 7, 8], [9, 10, 11]])
    with permille.record() as rec:
        generate = generate_with_spans(rec, model)
        tokens = generate(prompts, max_new_tokens=4, do_sample=False)
        generate(input_ids=prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=4)
    assert tokens.shape[0] == 2
    assert [span.phase.inferences for span in rec.measured("generate")] == [2, 2]
    with pytest.raises(UsageError, match="a span must be inside the recording"):
        generate(prompts)
