"""Tiny models of the architectures that the tasks need, in folders of the Hub's format, and data
for them; where it matters, trained here until they are right."""

from __future__ import annotations

import json
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

WORDS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "</s>"),
    *("ada", "lives", "in", "paris", "and", "works", "for", "acme", "a", "good", "film", "bad"),
]
SMALL = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 48,
}
TAGS = ("O", "B-PER", "B-LOC", "B-ORG")
SENTENCE = ("ada", "lives", "in", "paris", "and", "works", "for", "acme")
SENTENCE_TAGS = ("B-PER", "O", "O", "B-LOC", "O", "O", "O", "B-ORG")
RATE = 16_000


def seed() -> None:
    """The same weights each time, on one thread."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)


def tokenizer(folder: Path, **more: Any) -> Any:
    """Words to numbers, with BERT's pairs; saved."""
    import transformers
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from tokenizers.processors import TemplateProcessing

    plain = Tokenizer(WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    plain.pre_tokenizer = WhitespaceSplit()
    plain.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    given = {
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    }
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, **(given | more))
    made.save_pretrained(folder)
    return made


def ids(words: Sequence[str]) -> list[int]:
    """[CLS] the words [SEP]."""
    return [2, *(WORDS.index(word) for word in words), 3]


def bert(folder: Path, head: str, **config: Any) -> Any:
    """An encoder with a head, not trained."""
    import transformers

    seed()
    tokenizer(folder)
    model = getattr(transformers, head)(transformers.BertConfig(**SMALL, **config)).eval()
    model.save_pretrained(folder)
    return model


def train(model: Any, steps: int, **inputs: Any) -> None:
    """Until the model has learned ``inputs`` by heart."""
    import torch

    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        model(**inputs).loss.backward()
        optimizer.step()
    model.eval()


def tagger(folder: Path) -> Any:
    """Knows the entities of SENTENCE."""
    import torch

    model = bert(folder, "BertForTokenClassification", id2label=dict(enumerate(TAGS)))
    labels = [-100, *(TAGS.index(tag) for tag in SENTENCE_TAGS), -100]
    train(model, 40, input_ids=torch.tensor([ids(SENTENCE)]), labels=torch.tensor([labels]))
    model.save_pretrained(folder)
    return model


def masked(folder: Path) -> Any:
    """Knows each word of "a good film" that is left out."""
    import torch

    model = bert(folder, "BertForMaskedLM")
    whole = ids(("a", "good", "film"))
    holes = [[4 if at == hole else t for at, t in enumerate(whole)] for hole in (1, 2, 3)]
    labels = [[t if at == hole else -100 for at, t in enumerate(whole)] for hole in (1, 2, 3)]
    train(model, 60, input_ids=torch.tensor(holes), labels=torch.tensor(labels))
    model.save_pretrained(folder)
    return model


def image_processor(folder: Path, **config: Any) -> None:
    """``preprocessor_config.json``, of ViT's kind unless said."""
    given = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": 32, "width": 32},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.5, 0.6, 0.7],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(given | config))


def vit(folder: Path, labels: Sequence[str] = ("blue", "red")) -> Any:
    """A classifier that knows red from blue."""
    import torch
    import transformers

    seed()
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=16, id2label=dict(enumerate(labels)),
    )  # fmt: skip
    model = transformers.ViTForImageClassification(config)
    image_processor(folder)
    blue, red = torch.full((3, 32, 32), -1.0), torch.full((3, 32, 32), -1.0)
    blue[2], red[0] = 1.0, 1.0
    train(model, 40, pixel_values=torch.stack([blue, red]), labels=torch.tensor([0, 1]))
    model.save_pretrained(folder)
    return model


def yolos(folder: Path, labels: Sequence[str] = ("cat", "dog")) -> Any:
    """A detector, not trained."""
    import transformers

    seed()
    config = transformers.YolosConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=[64, 64], patch_size=16, num_detection_tokens=5,
        id2label=dict(enumerate(labels)), initializer_range=0.5,
    )  # fmt: skip
    model = transformers.YolosForObjectDetection(config).eval()
    model.save_pretrained(folder)
    image_processor(
        folder, image_processor_type="YolosImageProcessor",
        size={"shortest_edge": 48, "longest_edge": 64},
    )  # fmt: skip
    return model


def detr(folder: Path, labels: Sequence[str] = ("cat", "dog")) -> Any:
    """A detector with a convolutional backbone and a pixel mask, not trained."""
    import transformers

    seed()
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], out_features=["stage2"]
    )
    config = transformers.DetrConfig(
        use_timm_backbone=False, backbone=None, use_pretrained_backbone=False,
        backbone_config=backbone, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, num_queries=5, id2label=dict(enumerate(labels)),
    )  # fmt: skip
    model = transformers.DetrForObjectDetection(config).eval()
    model.save_pretrained(folder)
    image_processor(
        folder, image_processor_type="DetrImageProcessor",
        size={"shortest_edge": 48, "longest_edge": 64},
    )  # fmt: skip
    return model


def captioner(folder: Path) -> Any:
    """ViT and GPT-2 as one captioner, in two halves, not trained."""
    import transformers

    seed()
    tokenizer(folder, bos_token="[CLS]", eos_token="</s>", model_input_names=["input_ids"])
    eye = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=16,
    )  # fmt: skip
    pen = transformers.GPT2Config(
        vocab_size=len(WORDS), n_embd=16, n_layer=1, n_head=2, n_positions=32,
        add_cross_attention=True, initializer_range=0.5, bos_token_id=2, eos_token_id=5,
    )  # fmt: skip
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        eye, pen, decoder_start_token_id=2, pad_token_id=0, eos_token_id=5
    )
    model = transformers.VisionEncoderDecoderModel(config=config).eval()
    model.generation_config = transformers.GenerationConfig(
        decoder_start_token_id=2, bos_token_id=2, pad_token_id=0, eos_token_id=5
    )
    model.save_pretrained(folder)
    image_processor(folder)
    return model


def blip(folder: Path) -> Any:
    """A captioner with a processor of its own, not trained."""
    import transformers

    seed()
    made = tokenizer(folder, bos_token="[CLS]", eos_token="[SEP]")
    config = transformers.BlipConfig(
        text_config={
            **SMALL, "encoder_hidden_size": 16, "projection_dim": 16, "pad_token_id": 0,
            "bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3,
        },
        vision_config={
            "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 32, "image_size": 32, "patch_size": 16,
        },
    )  # fmt: skip
    model = transformers.BlipForConditionalGeneration(config).eval()
    model.save_pretrained(folder)
    eye = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    transformers.BlipProcessor(image_processor=eye, tokenizer=made).save_pretrained(folder)
    return model


LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz"]


def wav2vec2(folder: Path) -> Any:
    """A recogniser that labels frames, not trained."""
    import transformers

    seed()
    vocabulary = folder / "letters.json"
    vocabulary.write_text(json.dumps({letter: i for i, letter in enumerate(LETTERS)}))
    config = transformers.Wav2Vec2Config(
        vocab_size=len(LETTERS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, conv_dim=(8, 8), conv_kernel=(10, 3), conv_stride=(160, 2),
        num_feat_extract_layers=2, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        pad_token_id=0,
    )  # fmt: skip
    model = transformers.Wav2Vec2ForCTC(config).eval()
    model.save_pretrained(folder)
    transformers.Wav2Vec2Processor(
        feature_extractor=transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True),
        tokenizer=transformers.Wav2Vec2CTCTokenizer(str(vocabulary)),
    ).save_pretrained(folder)
    return model


def whisper(folder: Path) -> Any:
    """A recogniser that generates, not trained."""
    import transformers
    from tokenizers import pre_tokenizers

    seed()
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|transcribe|>", "<|notimestamps|>"]
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: i for i, symbol in enumerate([*symbols, *special])}
    end, start = vocabulary[special[0]], vocabulary[special[1]]
    made = transformers.WhisperTokenizer(vocab=vocabulary, merges=[])
    made.add_special_tokens({"additional_special_tokens": special[1:]})
    config = transformers.WhisperConfig(
        vocab_size=len(vocabulary), d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, max_target_positions=32, num_mel_bins=80, bos_token_id=end,
        eos_token_id=end, pad_token_id=end, decoder_start_token_id=start,
        begin_suppress_tokens=None,
    )  # fmt: skip
    model = transformers.WhisperForConditionalGeneration(config).eval()
    model.save_pretrained(folder)
    transformers.WhisperProcessor(
        feature_extractor=transformers.WhisperFeatureExtractor(), tokenizer=made
    ).save_pretrained(folder)
    return model


def stable_diffusion(folder: Path) -> Any:
    """A pipeline of Stable Diffusion's parts, not trained: images of 32 x 32."""
    import diffusers
    import transformers

    seed()
    words = tokenizer(folder / "words", model_max_length=8, bos_token="[CLS]", eos_token="[SEP]")
    unet = diffusers.UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, block_out_channels=(8, 16),
        layers_per_block=1, cross_attention_dim=16, norm_num_groups=4, attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8), latent_channels=4, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=len(WORDS), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=8, bos_token_id=2, eos_token_id=3,
            pad_token_id=0,
        )
    )  # fmt: skip
    pipeline = diffusers.StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=words, unet=unet,
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    return pipeline


# --- data --------------------------------------------------------------------------------


def picture(file: Path, colour: tuple[int, int, int], size: tuple[int, int] = (40, 30)) -> Path:
    """An image of one colour."""
    from PIL import Image

    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(file)
    return file


def noise(file: Path, size: tuple[int, int] = (52, 37), number: int = 0) -> Path:
    """An image of chance, so that every step of its preparation shows."""
    from PIL import Image

    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)
    return file


def recording(file: Path, seconds: float, rate: int = RATE) -> Path:
    """A tone, as 16-bit WAV."""
    t = np.arange(int(seconds * rate)) / rate
    samples = (np.sin(2 * np.pi * 440 * t) * 20_000).astype("<i2")
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())
    return file
