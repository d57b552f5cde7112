"""GGUF models through llama.cpp (xllamacpp), on the CPU unless ``gpu_layers`` says otherwise.

text-classification is a choice: the prompt is evaluated once, and the probabilities of the first
token of each choice as the next token are compared. The sampler is restricted to these tokens by
adding the same bias to all, which does not change their ratios. Nothing is generated. Choices that
share their first tokens are distinguished by the first token that differs.

Every prompt is evaluated completely: llama.cpp's prompt cache is off, so that the common start of
the prompts costs energy each time, as in a service with differing requests. Prompts are passed
unchanged, without a chat template.
"""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from permille.backends import files
from permille.backends.choosing import Step, next_step
from permille.errors import ModelError
from permille.hub.selection import shard_of, shards_with
from permille.records import Record
from permille.records.cell import Category, ModelFacts
from permille.workload.outputs import Output
from permille.workload.protocols import Backend
from permille.workload.requests import Chat, Choice, Generate
from permille.workload.specs import ModelSpec, StandsOn

if TYPE_CHECKING:
    import xllamacpp

_MAGIC = b"GGUF"
_GENERAL: frozenset[Category] = frozenset({"general-purpose"})
_ANY: frozenset[Category] = frozenset({"general-purpose", "task-specific"})
_BIAS = 100.0
"""Added to the logits of all choices. Logits differ by some tens, so no other token remains;
float32 represents the difference of two numbers near 100 to 1e-5."""
_ANSWER_BYTES = 16 << 20


class Settings(Record, forbid_unknown_fields=True):
    """The keys of a ``[[models]]`` table with this backend."""

    path: str
    """The .gguf file. Such as `"models/smollm2.gguf"`."""
    labels: dict[str, str] = {}
    """The dataset's label -> the word to look for, starting with a space if the prompt ends in a
    word or a colon. Such as `{ positive = " Positive" }`."""
    threads: int | None = None
    """Threads of llama.cpp; by default its own choice. Such as `2`."""
    context: int = 2048
    """Size of the context in tokens. Such as `4096`."""
    gpu_layers: int = 0
    """The number of layers on a GPU. Such as `99`."""
    max_new_tokens: int | None = None
    """The most tokens in an answer; the default depends on the task. Such as `64`."""


class LlamaBackend:
    """The backend, as a plug-in."""

    name = "llama"
    tasks: Mapping[str, frozenset[Category]] = {
        "text-classification": _GENERAL,
        "text-generation": _ANY,
        "summarization": _GENERAL,
        "translation": _GENERAL,
        "question-answering": _GENERAL,
        "chat": _ANY,
    }
    settings: type[Record] = Settings
    requires: tuple[str, ...] = ("xllamacpp",)
    install = "pip install 'permille[llama]'"
    hub_format = "gguf"

    def check(self, model: ModelSpec, task: str) -> None:
        """Check that the file is a GGUF file.

        Raises:
            ModelError: it is not, or a setting is out of range.
        """
        settings = msgspec.convert(model.settings, Settings)
        file = files.existing(model.id, "path", settings.path)
        with file.open("rb") as stream:
            if stream.read(len(_MAGIC)) != _MAGIC:
                raise ModelError(f"model {model.id!r}: {file} is not a GGUF file")
        for key, value, least in (
            ("threads", settings.threads, 1),
            ("context", settings.context, 16),
            ("gpu_layers", settings.gpu_layers, 0),
        ):
            if value is not None and value < least:
                raise ModelError(f"model {model.id!r}: {key} must be at least {least}")

    def stands_on(self, model: ModelSpec) -> StandsOn:
        """The other parts of a model in several files; the study file names the first."""
        file = Path(str(model.settings["path"]))
        return StandsOn(files={p.name: p for p in _parts(file) if p != file})

    def load(self, model: ModelSpec, task: str) -> _Llama:
        """The model in memory.

        Raises:
            ModelError: llama.cpp cannot load the file, or there is no GPU for ``gpu_layers``.
        """
        self.check(model, task)
        return _Llama(model.id, msgspec.convert(model.settings, Settings))


def _parts(file: Path) -> list[Path]:
    """The files of a model, of which the study file names the only or the first one."""
    part = shard_of(file.name)
    if part is None:
        return [file]
    names = (beside.name for beside in file.parent.glob(f"*{part.suffix}"))
    return [file.with_name(name) for name in shards_with(part, names)]


class _Llama:
    """A loaded model."""

    def __init__(self, model_id: str, settings: Settings) -> None:
        self._id = model_id
        self._parts = _parts(files.existing(model_id, "path", settings.path))
        self.device = _device(model_id, settings)
        self._key = secrets.token_hex(16)
        self._server = _start(model_id, settings, self._key)
        self._words: dict[tuple[str, ...], dict[str, tuple[int, ...]]] = {}

    @property
    def facts(self) -> ModelFacts:
        """Facts as llama.cpp reads them from the file."""
        meta = self._ask_http("GET", "/v1/models")["data"][0]["meta"]
        size = sum(part.stat().st_size for part in self._parts)
        return ModelFacts(params=int(meta["n_params"]), size_bytes=size)

    def infer(self, request: Any) -> Any:
        """Answer one prompt."""
        if isinstance(request, Choice):
            return self._choose(request)
        if isinstance(request, Generate):
            return self._complete(
                [request.prompt], max_tokens=request.max_new_tokens, temperature=0.0
            )
        if isinstance(request, Chat):
            return self._chat(request)
        raise ModelError(f"backend llama does not support a {type(request).__name__} request")

    def read(self, raw: Any) -> Output:
        """The chosen label, or the generated text, with the tokens that llama.cpp counted."""
        if isinstance(raw, Output):
            return raw
        usage, choice = raw["usage"], raw["choices"][0]
        return Output(
            text=choice["message"]["content"] if "message" in choice else choice["text"],
            tokens_in=usage["prompt_tokens"],
            tokens_out=usage["completion_tokens"],
        )

    def close(self) -> None:
        """Stop llama.cpp."""
        # xllamacpp stops llama.cpp's threads, and its port, when the object is freed.
        del self._server

    def _choose(self, request: Choice) -> Output:
        words = self._words.get(request.choices)
        if words is None:
            words = self._words[request.choices] = self._tokens_of(request)
        left = request.choices
        evaluated = 0
        probabilities: dict[str, float] = {}
        while len(left) > 1:
            step = next_step({choice: words[choice] for choice in left})
            by_token, tokens = self._next_token(request.prompt, step)
            # Every step counts its whole prompt, because without the cache it is evaluated again.
            evaluated += tokens
            # Of the first step only: the probabilities of a later one are those after the tokens
            # that some choices share, so they cannot be compared with the others'.
            if not probabilities:
                probabilities = {
                    choice: by_token[token]
                    for token, group in step.branches.items()
                    for choice in group
                }
            left = step.branches[max(by_token, key=lambda token: by_token[token])]
        return Output(label=left[0], tokens_in=evaluated, tokens_out=0, data=probabilities)

    def _next_token(self, prompt: str, step: Step) -> tuple[dict[int, float], int]:
        """Token -> its probability in this step, and the number of evaluated tokens."""
        candidates = list(step.branches)
        answer = self._complete(
            # llama.cpp takes texts and tokens in one list as one prompt. As text, the choices'
            # first tokens could merge with the end of the prompt
            # (https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md).
            [prompt, *step.tokens],
            max_tokens=1,
            # Only the temperature, at 1: other samplers would remove choices, or change the ratios
            # of their probabilities.
            temperature=1.0,
            samplers=["temperature"],
            logit_bias=[[token, _BIAS] for token in candidates],
            # After the bias, so that the candidates are the most probable tokens and all of them
            # are listed. Which one is drawn does not matter.
            n_probs=len(candidates),
            post_sampling_probs=True,
            seed=0,
        )
        top = answer["choices"][0]["logprobs"]["content"][0]["top_probs"]
        probabilities = {entry["id"]: float(entry["prob"]) for entry in top}
        if set(probabilities) != set(candidates):
            raise ModelError(
                f"model {self._id!r}: llama.cpp gave probabilities of tokens"
                f" {sorted(probabilities)}, not of {sorted(candidates)}; it"
                " cannot be used for choices"
            )
        return probabilities, answer["timings"]["prompt_n"]

    def _complete(self, prompt: list[str | int], **options: Any) -> Any:
        return self._whole(
            self._server.handle_completions({"prompt": prompt, "cache_prompt": False, **options})
        )

    def _chat(self, request: Chat) -> Any:
        body = {
            "messages": [{"role": role, "content": text} for role, text in request.messages],
            "max_tokens": request.max_new_tokens,
            "temperature": 0.0,
            "cache_prompt": False,
        }
        return self._whole(self._server.handle_chat_completions(body))

    def _whole(self, answer: Any) -> Any:
        if "error" in answer:
            message = str(answer["error"].get("message", answer["error"]))[:300]
            # llama.cpp's message says "context size" if a prompt is longer than the context.
            hint = "; raise context" if "context" in message else ""
            raise ModelError(f"model {self._id!r}: llama.cpp: {message}{hint}")
        return answer

    def _tokens_of(self, request: Choice) -> dict[str, tuple[int, ...]]:
        """Choice -> the tokens that it adds to the prompt.

        They are determined with the first prompt that uses these choices, because all prompts of a
        study have the same end.
        """
        prompt = self._tokenize(request.prompt)
        words = {}
        for choice in request.choices:
            whole = self._tokenize(request.prompt + choice)
            if whole[: len(prompt)] != prompt or len(whole) == len(prompt):
                raise ModelError(
                    f"model {self._id!r}: the label {choice!r} merges with the end of the prompt; "
                    "end the prompt without a blank and begin the words with one"
                )
            words[choice] = tuple(whole[len(prompt) :])
        return words

    def _tokenize(self, text: str) -> list[int]:
        answer = self._ask_http("POST", "/tokenize", {"content": text, "add_special": True})
        return list(answer["tokens"])

    def _ask_http(self, method: str, path: str, body: Any = None) -> Any:
        """Call a function that xllamacpp only offers through llama.cpp's loopback port."""
        address = self._server.listening_address.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=60)
        try:
            headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            content = answer.read(_ANSWER_BYTES)
            if answer.status != http.HTTPStatus.OK:
                raise ModelError(f"model {self._id!r}: llama.cpp: {path}: {answer.status}")
            return json.loads(content)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ModelError(f"model {self._id!r}: llama.cpp: {path}: {error}") from error
        finally:
            connection.close()


def _device(model_id: str, settings: Settings) -> str:
    if settings.gpu_layers == 0:
        return "cpu"
    import xllamacpp

    kinds = xllamacpp.ggml_backend_dev_type
    gpus = [
        device["name"]
        for device in xllamacpp.get_device_info()
        if device["type"] == kinds.GGML_BACKEND_DEVICE_TYPE_GPU
    ]
    if not gpus:
        raise ModelError(
            f"model {model_id!r}: gpu_layers is set, but this build of xllamacpp sees no GPU; "
            "install its build for your GPU, or remove gpu_layers"
        )
    return str(gpus[0]).lower()


def _start(model_id: str, settings: Settings, key: str) -> xllamacpp.Server:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings.path
    params.n_ctx = settings.context
    # One prompt at a time: several slots would divide the context among them.
    params.n_parallel = 1
    params.n_gpu_layers = settings.gpu_layers
    # Each of the three keeps something of earlier prompts, so that equal starts would cost less.
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.n_ctx_checkpoints = 0
    params.warmup = False  # warming up is part of the protocol, which measures it separately
    params.verbosity = -1  # errors too: they are returned as answers
    params.hostnames = ["127.0.0.1"]
    params.api_keys = [key]  # the port is accessible to every user of this machine
    params.ui = False
    params.endpoint_slots = False
    if settings.threads is not None:
        params.cpuparams.n_threads = settings.threads
        params.cpuparams_batch.n_threads = settings.threads
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise ModelError(
            f"model {model_id!r}: llama.cpp cannot load {settings.path}; is the file complete?"
        ) from error


backend: Backend = LlamaBackend()
