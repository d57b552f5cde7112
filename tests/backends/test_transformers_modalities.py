"""Words, masks, images and sound through transformers, on tiny models made here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from permille.backends.transformers.plugin import backend
from permille.errors import ModelError
from permille.workload.outputs import Output
from permille.workload.protocols import Batched, Loaded
from permille.workload.requests import Generate, Masked, Picture, Sound, Text, Words
from permille.workload.specs import ModelSpec
from tests import tiny_models as tiny
from tests.optional import later

pytestmark = pytest.mark.slow

torch = later("torch", "torch")
transformers = later("transformers", "torch")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model, made once."""
    folders: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name)
            getattr(tiny, name)(folders[name])
        return folders[name]

    return make


def load(folder: Path, task: str, **settings: Any) -> Any:
    own = {"path": str(folder), **settings}
    model = ModelSpec(id="m", backend="transformers", category="task-specific", settings=own)
    return backend.load(model, task)


def ask(model: Loaded, request: Any) -> Output:
    return model.read(model.infer(request))


def picture(file: Path) -> Picture:
    return Picture(content=file.read_bytes(), max_new_tokens=6)


# --- words -------------------------------------------------------------------------------


def test_a_trained_tagger_tags_each_word(made: Any) -> None:
    output = ask(load(made("tagger"), "token-classification"), Words(words=tiny.SENTENCE))
    assert output == Output(data=list(tiny.SENTENCE_TAGS), tokens_in=10)


def test_what_a_tagger_cuts_off_has_no_tag(made: Any) -> None:
    model = load(made("tagger"), "token-classification", max_length=5)
    assert ask(model, Words(words=tiny.SENTENCE)).data == ["B-PER", "O", "O"]


def test_a_trained_filler_finds_the_word(made: Any) -> None:
    model = load(made("masked"), "fill-mask")
    for before, after, word in (("a ", " film", "good"), ("a good ", "", "film")):
        output = ask(model, Masked(before=before, after=after))
        assert output.data[0] == word
        assert (len(output.data), output.tokens_in) == (5, 5)


def test_a_mask_that_is_cut_off_is_an_error(made: Any) -> None:
    model = load(made("masked"), "fill-mask", max_length=4)
    with pytest.raises(ModelError, match="is beyond the 4 tokens"):
        model.infer(Masked(before="a good film ", after=""))


def test_a_mask_of_the_text_itself_is_not_the_one_that_is_filled(made: Any) -> None:
    model = load(made("masked"), "fill-mask", batch_size=2)
    requests = [
        Masked(before="a ", after=" film [MASK]"), Masked(before="[MASK] good ", after=""),
    ]  # fmt: skip
    inputs = model.processor(
        ["a [MASK] film [MASK]", "[MASK] good [MASK]"], return_tensors="pt", padding=True
    )
    with torch.inference_mode():
        logits = model.model(**inputs).logits
    wanted = [logits[row, place].topk(5).indices.tolist() for row, place in ((0, 2), (1, 3))]
    _, _, tokens = model.infer_batch(requests)
    assert tokens.tolist() == wanted
    with pytest.raises(ModelError, match="is beyond the 4 tokens"):
        load(made("masked"), "fill-mask", max_length=4).infer(
            Masked(before="[MASK] good film ", after="")
        )


def test_a_slow_tokenizer_has_one_mask_only(made: Any, tmp_path: Path) -> None:
    model = load(made("masked"), "fill-mask")
    names = {"[UNK]": "<unk>", "[PAD]": "<pad>", "[CLS]": "<cls>", "[SEP]": "<eos>"}
    words = [{**names, "[MASK]": "<mask>"}.get(word, word) for word in tiny.WORDS]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    model.processor = transformers.EsmTokenizer(str(tmp_path / "vocab.txt"))
    assert not model.processor.is_fast
    assert ask(model, Masked(before="a ", after=" film")).data[0] == "good"
    with pytest.raises(ModelError, match="contains the mask token <mask> itself"):
        model.infer(Masked(before="<mask> ", after=" film"))


# --- images ------------------------------------------------------------------------------


def test_a_trained_classifier_sees_the_colour(made: Any, tmp_path: Path) -> None:
    model = load(made("vit"), "image-classification")
    for colour, rgb in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        output = ask(model, picture(tiny.picture(tmp_path / "x.png", rgb)))
        assert output == Output(label=colour, counted={"images": 1.0, "pixels": 1200.0})


@pytest.mark.parametrize("kind", ["yolos", "detr"])
def test_boxes_are_in_pixels_of_the_image(made: Any, tmp_path: Path, kind: str) -> None:
    output = ask(load(made(kind), "object-detection"), picture(tiny.noise(tmp_path / "x.png")))
    assert output.counted == {"images": 1.0, "pixels": 52.0 * 37}
    assert output.data
    for thing in output.data:
        x, y, width, height = thing["bbox"]
        assert thing["label"] in ("cat", "dog")
        assert 0.05 < thing["score"] <= 1
        # A box is as wide as the image at most, about a centre within it.
        assert 0 <= x + width / 2 <= 52
        assert 0 <= y + height / 2 <= 37
        assert 0 < width <= 52
        assert 0 < height <= 37


@pytest.mark.parametrize("kind", ["captioner", "blip"])
def test_a_caption_is_greedy_and_counted(made: Any, tmp_path: Path, kind: str) -> None:
    model, file = load(made(kind), "image-to-text"), tiny.noise(tmp_path / "x.png")
    output = ask(model, picture(file))
    assert output == ask(model, picture(file))
    assert output.tokens_out is not None
    assert 1 <= output.tokens_out <= 7
    assert set((output.text or "").split()) <= set(tiny.WORDS)
    assert output.counted["images"] == 1


def test_what_is_no_image_is_one_line(made: Any) -> None:
    model = load(made("vit"), "image-classification")
    with pytest.raises(ModelError, match="an image cannot be decoded") as caught:
        model.infer(Picture(content=b"GIF89a nonsense"))
    assert "\n" not in str(caught.value)


def test_images_that_a_batch_would_pad_are_refused(made: Any, tmp_path: Path) -> None:
    model = load(made("yolos"), "object-detection", batch_size=2)
    sizes = [(52, 37), (37, 52)]
    both = [picture(tiny.noise(tmp_path / f"{n}.png", size)) for n, size in enumerate(sizes)]
    with pytest.raises(ModelError, match="batch_size = 1"):
        model.infer_batch(both)


# --- sound -------------------------------------------------------------------------------


def test_frames_are_labelled_and_seconds_counted(made: Any, tmp_path: Path) -> None:
    folder = made("wav2vec2")
    content = tiny.recording(tmp_path / "x.wav", 0.5).read_bytes()
    output = ask(
        load(folder, "automatic-speech-recognition"), Sound(content=content, max_new_tokens=1)
    )
    assert output.counted == {"audio_seconds": 0.5}
    assert output.tokens_out is None
    t = np.arange(8000) / tiny.RATE
    samples = (np.sin(2 * np.pi * 440 * t) * 20_000).astype("<i2") / 32768
    processor = transformers.AutoProcessor.from_pretrained(folder)
    direct = transformers.Wav2Vec2ForCTC.from_pretrained(folder).eval()
    inputs = processor(samples, sampling_rate=tiny.RATE, return_tensors="pt")
    with torch.inference_mode():
        tokens = direct(**inputs).logits.argmax(-1)
    assert output.text == processor.batch_decode(tokens)[0]


def test_another_rate_is_resampled(made: Any, tmp_path: Path) -> None:
    content = tiny.recording(tmp_path / "x.wav", 0.5, rate=8_000).read_bytes()
    model = load(made("wav2vec2"), "automatic-speech-recognition")
    assert ask(model, Sound(content=content, max_new_tokens=1)).counted == {"audio_seconds": 0.5}


def test_a_recording_is_written_down_by_generation(made: Any, tmp_path: Path) -> None:
    model = load(made("whisper"), "automatic-speech-recognition")
    asked = Sound(content=tiny.recording(tmp_path / "x.wav", 1).read_bytes(), max_new_tokens=4)
    output = ask(model, asked)
    assert output == ask(model, asked)
    assert output.tokens_out is not None
    assert 0 <= output.tokens_out <= 4
    long = Sound(content=tiny.recording(tmp_path / "x.wav", 31).read_bytes(), max_new_tokens=4)
    with pytest.raises(ModelError, match=r"processes 30 s, but a recording lasts 31\.0 s"):
        model.infer(long)


# --- batches -----------------------------------------------------------------------------


def pictures(folder: Path) -> list[Any]:
    return [picture(tiny.noise(folder / f"{n}.png", number=n)) for n in range(3)]


def sounds(folder: Path) -> list[Any]:
    lengths = (0.5, 0.5, 0.5)
    files = [tiny.recording(folder / f"{n}.wav", s) for n, s in enumerate(lengths)]
    return [Sound(content=file.read_bytes(), max_new_tokens=4) for file in files]


@pytest.mark.parametrize(
    ("kind", "task", "requests"),
    [
        ("tagger", "token-classification", [Words(words=tiny.SENTENCE[:n]) for n in (8, 4, 2)]),
        ("masked", "fill-mask", [Masked(before="a ", after=" film"), Masked(before="", after="")]),
        ("vit", "image-classification", pictures),
        ("yolos", "object-detection", pictures),
        ("detr", "object-detection", pictures),
        ("captioner", "image-to-text", pictures),
        ("wav2vec2", "automatic-speech-recognition", sounds),
        ("tagger", "feature-extraction", [Text(text="ada"), Text(text="ada lives in paris")]),
    ],
)
def test_a_batch_answers_as_one_by_one(
    made: Any, tmp_path: Path, kind: str, task: str, requests: Any
) -> None:
    asked = requests(tmp_path) if callable(requests) else requests
    model = load(made(kind), task, batch_size=len(asked))
    alone = [ask(model, request) for request in asked]
    assert isinstance(model, Batched)
    together = model.read_batch(model.infer_batch(tuple(asked)))
    assert [plain(o) for o in together] == [plain(o) for o in alone]


def test_prompts_of_different_lengths_are_padded_on_the_left(tmp_path: Path) -> None:
    tiny.seed()
    tiny.tokenizer(tmp_path, eos_token="</s>", model_input_names=["input_ids", "attention_mask"])
    config = transformers.GPT2Config(
        vocab_size=len(tiny.WORDS), n_embd=16, n_layer=1, n_head=2, n_positions=64,
        bos_token_id=5, eos_token_id=5, initializer_range=0.5,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    model = load(tmp_path, "text-generation", batch_size=2)
    prompts = ("a good film", "ada lives in paris and works for acme")
    asked = [Generate(prompt=prompt, max_new_tokens=4) for prompt in prompts]
    together = model.read_batch(model.infer_batch(asked))
    alone = [ask(model, request) for request in asked]
    assert [(o.text, o.tokens_in, o.tokens_out) for o in together] == [
        (o.text, o.tokens_in, o.tokens_out) for o in alone
    ]
    assert [o.tokens_in for o in together] == [5, 10]


def test_a_prompts_likelihood_is_that_of_its_tokens(tmp_path: Path) -> None:
    tiny.seed()
    tiny.tokenizer(tmp_path, eos_token="</s>", model_input_names=["input_ids", "attention_mask"])
    config = transformers.GPT2Config(
        vocab_size=len(tiny.WORDS), n_embd=16, n_layer=1, n_head=2, n_positions=64,
        bos_token_id=5, eos_token_id=5, initializer_range=0.5,
    )  # fmt: skip
    direct = transformers.GPT2LMHeadModel(config).eval()
    direct.save_pretrained(tmp_path)
    model: Any = load(tmp_path, "text-generation")
    model.processor.clean_up_tokenization_spaces = True
    model.processor.clean_up_tokenization = lambda text: text.replace(" ", "")
    output = ask(model, Generate(prompt="a good film", max_new_tokens=1))
    tokens = torch.tensor([tiny.ids(("a", "good", "film"))])
    with torch.inference_mode():
        loss = float(direct(tokens, labels=tokens).loss)
    assert output.likelihood is not None
    assert output.likelihood.tokens == 4
    assert output.likelihood.log_likelihood == pytest.approx(-4 * loss, rel=1e-4)
    assert output.likelihood.utf8_bytes == len("a good film")


def plain(output: Output) -> Any:
    """An output whose floats may differ in their last digits."""
    if isinstance(output.data, list) and output.data and isinstance(output.data[0], float):
        return [round(value, 3) for value in output.data]
    if isinstance(output.data, list) and output.data and isinstance(output.data[0], dict):
        things = [(t["label"], round(t["score"], 3), [round(v, 1) for v in t["bbox"]])
                  for t in output.data]  # fmt: skip
        return things, output.counted
    return output


@pytest.mark.parametrize(
    ("task", "settings", "says"),
    [
        ("fill-mask", {"batch_size": 0}, "batch_size must be at least 1"),
        ("object-detection", {}, "cannot be loaded"),
    ],
)
def test_what_does_not_fit_is_one_line(made: Any, task: str, settings: Any, says: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        load(made("masked"), task, **settings)
    assert "\n" not in str(caught.value)
