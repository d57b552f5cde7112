"""An OpenAI-compatible HTTP server: vLLM, llama.cpp's, Ollama, TGI and others.

    backend = "endpoint"
    url = "http://127.0.0.1:8080/v1"
    serve = "llama-server -m model.gguf --port 8080"    # optional: started, waited for, stopped
    concurrency = 16                                    # or rate_per_s = 4.0; one at a time if not

Only what is measured on this machine is known: a server elsewhere is refused unless ``remote =
true``, and the device then says that its own energy is not in the figures. Tokens are those of the
server's ``usage``. Decoding is greedy (temperature 0). Most servers keep a cache of prompts and
answer a repeated one from it; ``extra`` goes into every request, to switch that off where the
server knows how: ``extra = { cache_prompt = false }`` for llama.cpp's.

A choice among labels is generated, and read out of the text: other than logits, words are all
that this interface gives. An answer in which no label, or more than one, is found is unreadable.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from permille.backends import (
    Backend,
    Chat,
    Choice,
    Execution,
    Generate,
    ModelSpec,
    Output,
    StandsOn,
    Text,
    Traffic,
    serve_files,
)
from permille.backends.choosing import named
from permille.backends.endpoint_address import (
    check_command,
    check_listening,
    is_here,
    parse_url,
)
from permille.backends.endpoint_http import Answer, Client
from permille.backends.endpoint_server import Server
from permille.errors import ModelError
from permille.records import Category, ModelFacts, Record

CHOICE_TOKENS = 8
"""Generated for a choice, unless ``max_new_tokens`` says otherwise."""
_GENERAL: frozenset[Category] = frozenset({"general-purpose"})
_ANY: frozenset[Category] = frozenset({"general-purpose", "task-specific"})


class Settings(Record, forbid_unknown_fields=True):
    """``url``: up to and with ``/v1``. ``model``: the server's name for it; the id if not given.
    ``api``: how a prompt is sent; a chat always goes to chat. ``key_env``: the environment
    variable that holds the key. ``labels``: dataset's label -> the word to look for. ``stream``:
    to see the time to the first token. ``timeout_s``: of one answer. ``rate_per_s``: arrivals, in
    place of ``concurrency``. ``serve_wait_s``: until a started server must answer."""

    url: str
    model: str | None = None
    api: Literal["completions", "chat"] = "completions"
    key_env: str | None = None
    labels: dict[str, str] = {}
    max_new_tokens: int | None = None
    stream: bool = False
    timeout_s: float = 120.0
    concurrency: int = 1
    rate_per_s: float | None = None
    serve: str | None = None
    serve_wait_s: float = 600.0
    remote: bool = False
    extra: dict[str, Any] = {}


class EndpointBackend:
    """The backend, as a plug-in."""

    name = "endpoint"
    tasks: Mapping[str, frozenset[Category]] = {
        "text-classification": _GENERAL,
        "text-generation": _ANY,
        "summarization": _GENERAL,
        "translation": _GENERAL,
        "question-answering": _GENERAL,
        "chat": _ANY,
        "feature-extraction": frozenset({"task-specific"}),
    }
    settings: type[Record] = Settings
    requires: tuple[str, ...] = ()
    install = ""
    network = True  # a worker's network is cut otherwise, and the server is on it

    def check(self, model: ModelSpec, task: str) -> None:
        """The settings, and that a server that permille does not start is there.

        Raises:
            ModelError: one of them is out of range, the key is not set, the server is elsewhere
                without ``remote``, or nobody listens at ``url``.
        """
        settings = msgspec.convert(model.settings, Settings)
        at = f"model {model.id!r}"
        url = parse_url(at, settings.url)
        _check_ranges(at, settings)
        if settings.key_env and not os.environ.get(settings.key_env):
            raise ModelError(f"{at}: key_env: {settings.key_env} is not set in the environment")
        if not is_here(url.hostname or "") and not settings.remote:
            raise ModelError(
                f"{at}: {url.hostname} is not this machine, whose meters do not see its energy; "
                "run permille there, or say remote = true to measure what asking costs here"
            )
        if settings.serve is None:
            check_listening(at, url)
        else:
            check_command(at, settings.serve)

    def stands_on(self, model: ModelSpec) -> StandsOn:
        """The files that the server's command names."""
        serve = model.settings.get("serve")
        return serve_files.named_in(serve, Path.cwd()) if serve else StandsOn()

    def executes(self, model: ModelSpec) -> tuple[Execution, ...]:
        """The server's command."""
        serve = model.settings.get("serve")
        return (Execution(kind="command", what=serve),) if serve else ()

    def load(self, model: ModelSpec, task: str) -> _Endpoint:
        """The server, started if so asked, and answering.

        Raises:
            ModelError: it does not answer, or answers nonsense.
        """
        self.check(model, task)
        return _Endpoint(model.id, msgspec.convert(model.settings, Settings), task)


class _Endpoint:
    """A server that answers."""

    def __init__(self, model_id: str, settings: Settings, task: str) -> None:
        self._id = model_id
        self._settings = settings
        self._task = task
        key = os.environ.get(settings.key_env) if settings.key_env else None
        self._client = Client(model_id, settings.url, key, settings.timeout_s)
        self._server: Server | None = None
        if settings.serve is not None:
            if self._answers():
                self._client.close()
                raise ModelError(
                    f"model {model_id!r}: something answers at {settings.url} already; stop it, "
                    "or leave serve out"
                )
            self._server = Server(model_id, settings.serve, self._answers, settings.serve_wait_s)
        self._body = {"model": settings.model or model_id, **settings.extra}
        self.device = (
            f"elsewhere ({urlsplit(settings.url).hostname}): its energy is not in the figures"
            if settings.remote
            else "server"
        )
        many = settings.concurrency > 1 or settings.rate_per_s is not None
        self.traffic = (
            Traffic(concurrency=settings.concurrency, rate_per_s=settings.rate_per_s)
            if many
            else None
        )

    @property
    def facts(self) -> ModelFacts:
        """The parameters, where the server tells them (llama.cpp's does)."""
        entries = self._client.get("/models").get("data")
        entry = entries[0] if isinstance(entries, list) and entries else {}
        meta = entry.get("meta") if isinstance(entry, dict) else None
        params = meta.get("n_params") if isinstance(meta, dict) else None
        return ModelFacts(params=params if isinstance(params, int) and params > 0 else None)

    def infer(self, request: Any) -> Any:
        """One request, and its whole answer; any thread may call this."""
        if isinstance(request, Text) and self._task == "feature-extraction":
            return request, self._client.post("/embeddings", {**self._body, "input": request.text})
        path, body = self._question(request)
        if self._settings.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        body = {"temperature": 0, **body, **self._body}
        return request, self._client.post(path, body, streamed=self._settings.stream)

    def read(self, raw: Any) -> Output:
        """The text, the label found in it, or the embedding.

        Raises:
            ModelError: the answer is not of the interface's shape.
        """
        request, answer = raw
        if isinstance(request, Text):
            return self._embedding(answer)
        output = self._text(answer)
        if isinstance(request, Choice):
            label = named(output.text or "", request.choices)
            return msgspec.structs.replace(output, label=label)
        return output

    def close(self) -> None:
        """Stop the server if it was started here."""
        self._client.close()
        if self._server is not None:
            self._server.stop()

    def _answers(self) -> bool:
        try:
            self._client.get("/models")
        except ModelError:
            return False
        return True

    def _question(self, request: Any) -> tuple[str, dict[str, Any]]:
        if isinstance(request, Choice):
            prompt, most = request.prompt, self._settings.max_new_tokens or CHOICE_TOKENS
        elif isinstance(request, Generate):
            prompt, most = request.prompt, request.max_new_tokens
        elif isinstance(request, Chat):
            messages = [{"role": role, "content": text} for role, text in request.messages]
            return "/chat/completions", {"messages": messages, "max_tokens": request.max_new_tokens}
        else:
            raise ModelError(f"backend endpoint cannot do a {type(request).__name__} request")
        if self._settings.api == "chat":
            messages = [{"role": "user", "content": prompt}]
            return "/chat/completions", {"messages": messages, "max_tokens": most}
        return "/completions", {"prompt": prompt, "max_tokens": most}

    def _text(self, answer: Answer) -> Output:
        events = [self._client.parse(piece) for piece in answer.pieces]
        texts = [text for event in events if (text := _piece(event)) is not None]
        if not texts:
            raise ModelError(f"model {self._id!r}: the answer has no text: {str(events)[:200]}")
        usage: dict[str, Any] = next(
            (e["usage"] for e in events if isinstance(e.get("usage"), dict)), {}
        )
        return Output(
            text="".join(texts),
            tokens_in=_count(usage.get("prompt_tokens")),
            tokens_out=_count(usage.get("completion_tokens")),
            first_token_s=answer.first_s,
        )

    def _embedding(self, answer: Answer) -> Output:
        body = self._client.parse(answer.pieces[0])
        try:
            vector = [float(value) for value in body["data"][0]["embedding"]]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ModelError(
                f"model {self._id!r}: the answer has no embedding: {str(body)[:200]}"
            ) from error
        usage = body.get("usage")
        tokens = _count(usage.get("prompt_tokens")) if isinstance(usage, dict) else None
        return Output(data=vector, tokens_in=tokens)


def _piece(event: Any) -> str | None:
    """The text of an answer or of a piece of one; None where there is none."""
    try:
        choice = event["choices"][0]
        part = choice.get("message") or choice.get("delta")
        text = choice.get("text") if part is None else part.get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    return text if isinstance(text, str) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _check_ranges(at: str, settings: Settings) -> None:
    for key, value in (
        ("concurrency", settings.concurrency),
        ("max_new_tokens", settings.max_new_tokens),
    ):
        if value is not None and not 1 <= value <= 100_000:
            raise ModelError(f"{at}: {key} must be 1 to 100,000, not {value}")
    for name, seconds in (
        ("timeout_s", settings.timeout_s),
        ("serve_wait_s", settings.serve_wait_s),
        ("rate_per_s", settings.rate_per_s),
    ):
        if seconds is not None and not 0 < seconds <= 1e6:
            raise ModelError(f"{at}: {name} must be above 0, not {seconds}")
    if settings.rate_per_s is not None and settings.concurrency > 1:
        raise ModelError(f"{at}: concurrency and rate_per_s: keep one")


backend: Backend = EndpointBackend()
