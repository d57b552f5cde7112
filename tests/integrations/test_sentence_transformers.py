"""``encode`` of the real library, with a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import permille
from permille.integrations.sentence_transformers import encode_with_spans
from tests.integrations.optional import needs
from tests.powercap import Driver
from tests.tiny_models import bert

pytestmark = [pytest.mark.slow, pytest.mark.measuring]


@needs("sentence_transformers")
def test_each_call_of_encode_is_a_span_with_its_sentences(machine: Driver, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    bert(tmp_path / "bert", "BertModel")
    words = modules.Transformer(str(tmp_path / "bert"))
    pooling = modules.Pooling(16)
    model = SentenceTransformer(modules=[words, pooling], device="cpu")
    with permille.record() as rec:
        encode = encode_with_spans(rec, model)
        vectors = encode(["a good film", "a bad film", "ada"], show_progress_bar=False)
        one = encode("a good film")
    assert vectors.shape[0] == 3
    assert one == pytest.approx(vectors[0], abs=1e-5)
    assert [span.phase.inferences for span in rec.measured("encode")] == [3, 1]


class Five:
    """An encoder of version 5 of the library, whose rule for single inputs is within ``encode``."""

    def encode(self, sentences: Any) -> str:
        return "vectors"


class Six:
    """An encoder of version 6, which says itself what a single input is."""

    def encode(self, inputs: Any) -> str:
        return "vectors"

    def is_singular_input(self, inputs: Any) -> bool:
        return isinstance(inputs, str | dict)


@pytest.mark.parametrize("model", [Five(), Six()])
def test_an_array_of_sentences_is_as_many_inferences(machine: Driver, model: Five | Six) -> None:
    with permille.record() as rec:
        encode = encode_with_spans(rec, model)
        encode(np.array(["a good film", "a bad film", "ada"]))
        encode("a good film")
    assert [span.phase.inferences for span in rec.measured("encode")] == [3, 1]


@pytest.mark.parametrize("model", [Five(), Six()])
@pytest.mark.parametrize("keyword", ["sentences", "inputs"])
def test_sentences_may_be_given_by_the_keyword_of_any_version(
    machine: Driver, model: Five | Six, keyword: str
) -> None:
    with permille.record() as rec:
        encode = encode_with_spans(rec, model)
        assert encode(**{keyword: ["a good film", "a bad film"]}) == "vectors"
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            encode()
    assert [span.phase.inferences for span in rec.measured("encode")] == [2]


def test_an_image_with_its_words_is_one_inference(machine: Driver) -> None:
    with permille.record() as rec:
        encode_with_spans(rec, Six())({"text": "a good film", "image": "film.png"})
    assert [span.phase.inferences for span in rec.measured("encode")] == [1]
