"""Stand-ins and random weights: lengths, special tokens, nothing that is all zero."""

from __future__ import annotations

from typing import Any

import pytest

from permille.architectures.words import word
from permille.backends.transformers import stand_ins as standins
from permille.backends.transformers.plugin import backend
from permille.errors import ModelError
from permille.workload.requests import Generate, Masked, Text
from permille.workload.specs import ModelSpec
from tests.optional import later

pytestmark = pytest.mark.slow

torch = later("torch", "torch")
transformers = later("transformers", "torch")

WORDS = " ".join(word(number) for number in range(25))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def replica(model_id: str, **settings: Any) -> ModelSpec:
    return ModelSpec(
        id=model_id,
        backend="transformers",
        category="task-specific",
        settings={"weights": "replica", **settings},
    )


@pytest.fixture(scope="module")
def distilgpt2() -> Any:
    return backend.load(replica("distilgpt2", max_new_tokens=7), "text-generation")


def test_a_text_of_n_words_is_n_tokens_and_the_frame() -> None:
    bert = transformers.BertConfig(vocab_size=30522)
    assert len(standins.tokenizer(bert, "encoder")(WORDS)["input_ids"]) == 25 + 2
    gpt2 = transformers.GPT2Config()
    assert len(standins.tokenizer(gpt2, "decoder")(WORDS)["input_ids"]) == 25
    t5 = transformers.T5Config(vocab_size=32128)
    assert len(standins.tokenizer(t5, "encoder-decoder")(WORDS)["input_ids"]) == 25 + 1


def test_a_stand_in_has_the_models_vocabulary_and_its_special_tokens() -> None:
    config = transformers.RobertaConfig(vocab_size=50265, pad_token_id=1, bos_token_id=0)
    made = standins.tokenizer(config, "encoder", prompt="Is this Good?")
    assert len(made) == 50265
    assert (made.pad_token_id, made.bos_token_id, made.eos_token_id) == (1, 0, 2)
    assert made.tokenize("is this good") == ["is", "this", "good"]
    assert "[UNK]" not in made.tokenize("Any other text, e.g. 3.5 metres")


def test_weights_are_drawn_and_no_matrix_is_zero() -> None:
    model = backend.load(replica("hustvl/yolos-tiny"), "object-detection")
    matrices = [p for p in model.model.parameters() if p.dim() >= 2]  # type: ignore[attr-defined]
    assert matrices
    assert all(bool(p.any()) for p in matrices)
    assert model.facts.weights == "replica"
    assert model.facts.architecture == "YolosForObjectDetection"


def test_an_architecture_that_begins_at_zero_is_filled() -> None:
    from permille.backends.transformers.replica import fill_zeros

    layer = torch.nn.Linear(8, 8)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    fill_zeros(layer, 0.02)
    assert 0.005 < float(layer.weight.detach().std()) < 0.05
    assert not bool(layer.bias.any())


def test_the_same_weights_each_time(distilgpt2: Any) -> None:
    again: Any = backend.load(replica("distilgpt2"), "text-generation")
    a, b = (next(m.model.parameters()) for m in (distilgpt2, again))
    assert torch.equal(a, b)


def test_an_answer_has_the_length_that_was_asked_for(distilgpt2: Any) -> None:
    output = distilgpt2.read(distilgpt2.infer(Generate(prompt=WORDS, max_new_tokens=3)))
    assert (output.tokens_in, output.tokens_out) == (25, 7)


def test_a_mask_is_found() -> None:
    model = backend.load(replica("distilbert-base-uncased"), "fill-mask")
    output = model.read(model.infer(Masked(before=WORDS + " ", after=" " + word(3))))
    assert output.tokens_in == 25 + 1 + 1 + 2
    assert len(output.data) == 5


def test_a_model_that_is_not_for_the_task_is_refused() -> None:
    with pytest.raises(ModelError, match="does not support image-classification"):
        backend.load(replica("distilgpt2"), "image-classification")


def test_a_text_is_cut_at_the_models_own_length() -> None:
    bertweet = "finiteautomata/bertweet-base-sentiment-analysis"
    model = backend.load(replica(bertweet), "text-classification")
    output = model.read(model.infer(Text(text=" ".join([WORDS] * 20))))
    assert output.tokens_in == 128
