"""Stand-ins for the tokenizer and image processor that come with a model's weights.

A stand-in tokenizer has a vocabulary of the model's size, with the special tokens at the ids in the
model's configuration. Most of the vocabulary are generated words, ``w0``, ``w1``, … (:func:`word`):
each is one token, so that a text of n words is n tokens for every model. Other text is split into
pieces of one or two letters, about twice as many tokens as a trained tokenizer makes of English.
"""

from __future__ import annotations

import itertools
import re
import string
from dataclasses import dataclass
from typing import Any, Literal

from permille.architectures.words import LABELS, WORDS

Kind = Literal["encoder", "decoder", "encoder-decoder"]


def tokenizer(config: Any, kind: Kind, prompt: str = "") -> Any:
    """A fast tokenizer for a model of this configuration, which has ``vocab_size`` and the ids of
    its special tokens. The words of ``prompt`` are one token each."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = _special_ids(config)
    vocabulary = _vocabulary(config.vocab_size, special, re.findall(r"[a-z]+", prompt.lower()))
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = _frame(kind, special)
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="[BOS]",
        eos_token="[EOS]",
        # An id has one name: where the configuration pads with the end token, that token pads here.
        pad_token="[PAD]" if special["[PAD]"] != special["[EOS]"] else "[EOS]",
        unk_token="[UNK]",
        cls_token="[BOS]",
        sep_token="[EOS]",
        mask_token="[MASK]",
        model_max_length=longest(config, kind),
    )


def longest(config: Any, kind: Kind) -> int:
    """The longest input in tokens. Position tables of RoBERTa models have two more entries."""
    # LED's name, the usual one, and GPT-2's.
    for name in ("max_encoder_position_embeddings", "max_position_embeddings", "n_positions"):
        length = getattr(config, name, None)
        if isinstance(length, int) and length > 0:
            offset = 2 if getattr(config, "model_type", "") in ("roberta", "xlm-roberta") else 0
            return length - offset
    return 512 if kind == "encoder-decoder" else 2048


def _special_ids(config: Any) -> dict[str, int]:
    """The id of each special token: the configuration's, or the first free one."""
    given = {
        "[PAD]": getattr(config, "pad_token_id", None),
        "[BOS]": getattr(config, "bos_token_id", None),
        "[EOS]": getattr(config, "eos_token_id", None),
        "[UNK]": None,
        "[MASK]": None,
    }
    taken = {n: i for n, i in given.items() if isinstance(i, int) and 0 <= i < config.vocab_size}
    if "[EOS]" in taken and taken.get("[BOS]") == taken["[EOS]"]:
        del taken["[BOS]"]  # one token for both, as in GPT-2
    free = (i for i in itertools.count() if i not in taken.values())
    return {name: taken.get(name, next(free) if name not in taken else 0) for name in given}


def _vocabulary(size: int, special: dict[str, int], own: list[str]) -> dict[str, int]:
    """Exactly ``size`` tokens: special ones, labels, a prompt's ``own`` words, generated words,
    pieces, and more words."""
    letters = string.ascii_lowercase + string.digits
    pieces = [*letters, *string.punctuation, *(f"##{c}" for c in letters)]
    pairs = [a + b for a in string.ascii_lowercase for b in string.ascii_lowercase]
    words = (f"w{number}" for number in itertools.count())
    made_up = itertools.islice(words, WORDS)
    known = [*LABELS, *own, *made_up, *pieces, *pairs, *(f"##{p}" for p in pairs)]
    ids = (i for i in range(size) if i not in special.values())
    tokens = itertools.chain(dict.fromkeys(known), words)
    return special | dict(zip(tokens, ids, strict=False))


def _frame(kind: Kind, special: dict[str, int]) -> Any:
    """The template around a text: nothing for decoders, an end token, or a start and an end
    token."""
    from tokenizers import processors

    if kind == "decoder":
        return processors.TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    single, pair = {
        "encoder": ("[BOS] $A [EOS]", "[BOS] $A [EOS] $B:1 [EOS]:1"),
        "encoder-decoder": ("$A [EOS]", "$A [EOS] $B [EOS]"),
    }[kind]
    used = [(name, special[name]) for name in ("[BOS]", "[EOS]")]
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=used)


@dataclass(frozen=True)
class Captions:
    """The processor of a captioning model: it is called with ``images`` and has a ``tokenizer``."""

    image_processor: Any
    tokenizer: Any

    def __call__(self, **inputs: Any) -> Any:
        """The images as the model's inputs."""
        return self.image_processor(**inputs)


def image_processor(values: dict[str, Any]) -> Any:
    """transformers' image processor of that ``class`` with these values."""
    import transformers

    kind = getattr(transformers, values["class"])
    return kind(**{key: value for key, value in values.items() if key != "class"})
