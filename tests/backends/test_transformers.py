"""On tiny models of each architecture, made here; the classifier is trained until it is right."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from permille.backends.transformers.plugin import backend
from permille.errors import ModelError
from permille.workload.outputs import Output
from permille.workload.requests import Chat, Choice, Generate, Question, Text
from permille.workload.specs import ModelSpec
from tests.optional import later

pytestmark = pytest.mark.slow

torch = later("torch", "torch")
transformers = later("transformers", "torch")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "</s>", "good", "bad", "this", "is", "a", "film"]
WORDS += ["who", "made", "it", "we", "did", "very"]
SMALL = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def save_tokenizer(folder: Path, *, pairs: bool = False, **more: Any) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from tokenizers.processors import TemplateProcessing

    plain = Tokenizer(WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    plain.pre_tokenizer = WhitespaceSplit()
    if pairs:
        plain.post_processor = TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
        )
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, unk_token="[UNK]", pad_token="[PAD]", eos_token="</s>", **more
    )
    made.save_pretrained(folder)


def bert(folder: Path, head: str, **config: Any) -> Any:
    names = ["input_ids", "token_type_ids", "attention_mask"]
    save_tokenizer(folder, pairs=True, model_input_names=names)
    model = getattr(transformers, head)(transformers.BertConfig(**SMALL, **config))
    model.save_pretrained(folder)
    return model


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    model = bert(folder, "BertForSequenceClassification", id2label={0: "bad", 1: "good"})
    tokens = torch.tensor([[2, 7, 8, 5, 3], [2, 7, 8, 6, 3]])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        model(input_ids=tokens, labels=torch.tensor([1, 0])).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decoder")
    template = "{% for m in messages %}{{ m.content }} {% endfor %}it is"
    save_tokenizer(folder, chat_template=template)
    config = transformers.GPT2Config(
        vocab_size=len(WORDS), n_embd=16, n_layer=1, n_head=2, n_positions=64,
        bos_token_id=4, eos_token_id=4, initializer_range=0.5,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def encoder_decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("t5")
    save_tokenizer(folder)
    config = transformers.T5Config(
        vocab_size=len(WORDS), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=4,
    )  # fmt: skip
    transformers.T5ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def spec(folder: Path, category: Any = "task-specific", **settings: Any) -> ModelSpec:
    own = {"path": str(folder), **settings}
    return ModelSpec(id="m", backend="transformers", category=category, settings=own)


def ask(model: ModelSpec, task: str, request: Any) -> Output:
    loaded = backend.load(model, task)
    output = loaded.read(loaded.infer(request))
    assert loaded.device == "cpu"
    loaded.close()
    return output


def test_a_trained_classifier_is_right(classifier: Path) -> None:
    loaded = backend.load(spec(classifier), "text-classification")
    found = [loaded.read(loaded.infer(Text(text=f"this is {word}"))) for word in ("good", "bad")]
    assert found == [Output(label="good", tokens_in=5), Output(label="bad", tokens_in=5)]
    direct = transformers.BertForSequenceClassification.from_pretrained(classifier)
    assert loaded.facts.params == sum(p.numel() for p in direct.parameters())
    assert loaded.facts.architecture == "BertForSequenceClassification"
    assert loaded.facts.size_bytes == (classifier / "model.safetensors").stat().st_size


def test_the_size_is_that_of_the_weights_that_are_loaded(classifier: Path, tmp_path: Path) -> None:
    shutil.copytree(classifier, tmp_path, dirs_exist_ok=True)
    weights = tmp_path / "model.safetensors"
    for copy in ("consolidated.safetensors", "model.fp16.safetensors"):
        shutil.copy(weights, tmp_path / copy)
    loaded = backend.load(spec(tmp_path), "text-classification")
    assert loaded.facts.size_bytes == weights.stat().st_size


def test_a_text_is_cut_at_its_length(classifier: Path) -> None:
    asked = spec(classifier, max_length=8)
    output = ask(asked, "text-classification", Text(text="very " * 100))
    assert output.tokens_in == 8


def test_an_embedding_is_the_mean_over_the_tokens(classifier: Path) -> None:
    output = ask(spec(classifier), "feature-extraction", Text(text="a film"))
    direct = transformers.BertModel.from_pretrained(classifier).eval()
    with torch.inference_mode():
        states = direct(torch.tensor([[2, 9, 10, 3]])).last_hidden_state[0]
    assert output.data == pytest.approx(states.mean(dim=0).tolist(), abs=1e-6)


@pytest.mark.parametrize("kind", ["decoder", "encoder_decoder"])
def test_generation_is_greedy_and_counted(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    asked = Generate(prompt="this is a film", max_new_tokens=5)
    first = ask(spec(folder), "text-generation", asked)
    assert first == ask(spec(folder), "text-generation", asked)
    assert first.tokens_in == 4
    assert first.tokens_out is not None
    assert 1 <= first.tokens_out <= 5
    assert "this is a film" not in (first.text or "")


def test_a_continuation_is_that_of_the_logits(decoder: Path) -> None:
    output = ask(spec(decoder), "text-generation", Generate(prompt="a film", max_new_tokens=1))
    direct = transformers.GPT2LMHeadModel.from_pretrained(decoder).eval()
    with torch.inference_mode():
        token = int(direct(torch.tensor([[9, 10]])).logits[0, -1].argmax())
    assert output.tokens_out == 1
    assert output.text == ("" if token in (0, 4) else WORDS[token])


def test_a_chat_goes_through_the_template(decoder: Path) -> None:
    request = Chat(messages=(("user", "who made"),), max_new_tokens=2)
    output = ask(spec(decoder, "general-purpose"), "chat", request)
    assert output.tokens_in == 4  # who made it is


@pytest.mark.parametrize("kind", ["decoder", "encoder_decoder"])
def test_a_choice_is_the_more_probable_word(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    model = spec(folder, "general-purpose")
    asked = Choice(prompt="this film is", choices=(" good", " bad"))
    output = ask(model, "text-classification", asked)
    ids = torch.tensor([[7, 10, 8]])
    with torch.inference_mode():
        if kind == "decoder":
            direct = transformers.GPT2LMHeadModel.from_pretrained(folder).eval()
            logits = direct(ids).logits[0, -1]
        else:
            direct = transformers.T5ForConditionalGeneration.from_pretrained(folder).eval()
            logits = direct(input_ids=ids, decoder_input_ids=torch.tensor([[0]])).logits[0, -1]
    assert output.label == (" good" if logits[5] > logits[6] else " bad")
    assert (output.tokens_in, output.tokens_out) == (3, 0)


def test_choices_that_share_a_token_are_told_apart_by_the_next(decoder: Path) -> None:
    asked = Choice(prompt="this film is", choices=(" very good", " very bad"))
    output = ask(spec(decoder, "general-purpose"), "text-classification", asked)
    direct = transformers.GPT2LMHeadModel.from_pretrained(decoder).eval()
    with torch.inference_mode():
        logits = direct(torch.tensor([[7, 10, 8, WORDS.index("very")]])).logits[0, -1]
    assert output.label == (" very good" if logits[5] > logits[6] else " very bad")
    assert output.tokens_in == 4


def test_a_span_is_the_best_of_all_that_are_allowed(tmp_path: Path) -> None:
    direct = bert(tmp_path, "BertForQuestionAnswering", initializer_range=1.0).eval()
    context = "we made it this is a film"
    output = ask(
        spec(tmp_path), "question-answering", Question(question="who made it", context=context)
    )
    words = context.split()
    ids = [2, *map(WORDS.index, ["who", "made", "it"]), 3, *map(WORDS.index, words), 3]
    kinds = [0] * 5 + [1] * (len(words) + 1)
    with torch.inference_mode():
        found = direct(torch.tensor([ids]), token_type_ids=torch.tensor([kinds]))
    start, end = found.start_logits[0, 5:-1], found.end_logits[0, 5:-1]
    pairs = [(i, j) for i in range(len(words)) for j in range(i, len(words))]
    i, j = max(pairs, key=lambda pair: float(start[pair[0]] + end[pair[1]]))
    assert output.text == " ".join(words[i : j + 1])


# --- refused -----------------------------------------------------------------------------


def test_a_head_that_would_be_drawn_at_random_is_refused(classifier: Path) -> None:
    with pytest.raises(
        ModelError, match=r"no weights for qa_outputs.*does not support question-ans"
    ):
        backend.load(spec(classifier), "question-answering")


def test_a_classifier_whose_pooler_would_be_drawn_at_random_is_refused(
    classifier: Path, tmp_path: Path
) -> None:
    direct = transformers.BertForSequenceClassification.from_pretrained(classifier)
    kept = {name: w for name, w in direct.state_dict().items() if "pooler" not in name}
    direct.save_pretrained(tmp_path, state_dict=kept)
    save_tokenizer(tmp_path, pairs=True)
    with pytest.raises(ModelError, match=r"no weights for bert.pooler"):
        backend.load(spec(tmp_path), "text-classification")
    vector = ask(spec(tmp_path), "feature-extraction", Text(text="this is bad")).data
    assert len(vector) == SMALL["hidden_size"]


def test_a_pickle_is_refused_unless_it_is_allowed(classifier: Path, tmp_path: Path) -> None:
    for file in classifier.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelError, match=r"no \*\.safetensors"):
        backend.check(spec(tmp_path), "text-classification")
    direct = transformers.BertForSequenceClassification.from_pretrained(classifier)
    torch.save(direct.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"is a pickle, .* allow_pickle = true"):
        backend.check(spec(tmp_path), "text-classification")
    allowed = spec(tmp_path, allow_pickle=True)
    assert ask(allowed, "text-classification", Text(text="this is bad")).label == "bad"


def test_safetensors_come_before_a_pickle_that_is_allowed(classifier: Path, tmp_path: Path) -> None:
    shutil.copytree(classifier, tmp_path, dirs_exist_ok=True)
    for pickled in (None, b"not even a pickle"):
        if pickled is not None:
            (tmp_path / "pytorch_model.bin").write_bytes(pickled)
        allowed = spec(tmp_path, allow_pickle=True)
        assert ask(allowed, "text-classification", Text(text="this is bad")).label == "bad"


def test_damaged_weights_are_one_line(classifier: Path, tmp_path: Path) -> None:
    for file in classifier.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        backend.load(spec(tmp_path), "text-classification")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"device": "abacus"}, "cpu, cuda"), ({"device": "cuda:99"}, "sees no device 'cuda:99'")],
)
def test_a_device_that_is_not_there_is_not_passed_over(
    classifier: Path, settings: Any, says: str
) -> None:
    with pytest.raises(ModelError, match=says):
        backend.load(spec(classifier, **settings), "text-classification")


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        backend.check(spec(tmp_path), "text-classification")


def test_code_that_comes_with_a_model_is_never_run(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    (tmp_path / "config.json").write_text(
        '{"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModel": "evil.M"}}'
    )
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="cannot be loaded"):
        backend.load(spec(tmp_path), "feature-extraction")
