"""The ``endpoint`` backend: check settings, start the server and wait for it, send requests."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from permille.backends import serve_files
from permille.backends.choosing import named
from permille.backends.endpoint import address, answers
from permille.backends.endpoint.http import Body, Client
from permille.backends.endpoint.reasoning import OFF, check_off, reasoning_fields
from permille.backends.endpoint.server import StartedServer, wait_until_ready
from permille.backends.endpoint.settings import Settings, check_ranges
from permille.backends.endpoint.stream import events
from permille.errors import InferenceError, ModelError
from permille.records import Record
from permille.records.cell import Category, ModelFacts
from permille.workload.outputs import Output
from permille.workload.protocols import Backend
from permille.workload.requests import Chat, Choice, Generate, Text, Traffic
from permille.workload.specs import Execution, Launch, ModelSpec, StandsOn

CHOICE_TOKENS = 8
"""Tokens generated for a choice, unless ``max_new_tokens`` is set."""
_FACTS_S = 5.0
"""Seconds to wait for facts about the model."""
_GENERAL: frozenset[Category] = frozenset({"general-purpose"})
_ANY: frozenset[Category] = frozenset({"general-purpose", "task-specific"})


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
    network = True  # otherwise the worker would have no network to reach the server

    def check(self, model: ModelSpec, task: str) -> None:
        """Check the settings, and that a server that permille does not start exists.

        Raises:
            ModelError: a setting is out of range, the key is not set, the server is on another
                machine without ``remote``, or nothing listens at ``url``.
        """
        settings = msgspec.convert(model.settings, Settings)
        at = f"model {model.id!r}"
        url = address.parse_url(at, settings.url)
        check_ranges(at, settings)
        talks = task == "chat" or (settings.api == "chat" and task != "feature-extraction")
        if settings.reasoning is not None and not talks:
            raise ModelError(f'{at}: reasoning is a setting of conversations: set api = "chat"')
        if settings.key_env and not os.environ.get(settings.key_env):
            raise ModelError(f"{at}: key_env: {settings.key_env} is not set in the environment")
        if settings.meter is not None:
            address.check_meter(at, settings.meter)
        elif not settings.remote:
            address.check_here(at, url.hostname or "")
        if settings.serve is None:
            address.check_listening(at, url)
        else:
            address.check_command(at, settings.serve)

    def stands_on(self, model: ModelSpec) -> StandsOn:
        """The files that the server's command names."""
        serve = model.settings.get("serve")
        # The server is started in this folder, so that its command's paths are relative to it.
        return serve_files.named_in(serve, Path.cwd()) if serve else StandsOn()

    def executes(self, model: ModelSpec) -> tuple[Execution, ...]:
        """The server's command."""
        serve = model.settings.get("serve")
        return (Execution(kind="command", what=serve),) if serve else ()

    def server_key(self, model: ModelSpec) -> str | None:
        """The server's command and address, and the name of the model that it is asked for."""
        settings = msgspec.convert(model.settings, Settings)
        if settings.serve is None:
            return None
        return json.dumps([settings.serve, settings.url, settings.model or model.id])

    def start_server(self, model: ModelSpec, task: str, launch: Launch) -> StartedServer:
        """Start the model's server for several trials, and wait until it answers.

        Raises:
            ModelError: it does not answer, or gives an invalid answer.
        """
        self.check(model, task)
        settings = msgspec.convert(model.settings, Settings)
        endpoint = _Endpoint(model.id, settings, task)
        server = _start(model.id, settings, launch)
        try:
            endpoint.wait_until_ready(server)
        except BaseException:  # also Ctrl-C while it loads
            server.stop()
            raise
        finally:
            endpoint.close()
        return server

    def client_of(self, model: ModelSpec) -> ModelSpec:
        """The model without ``serve``, so that a worker uses the server that is running."""
        settings = {key: value for key, value in model.settings.items() if key != "serve"}
        return msgspec.structs.replace(model, settings=settings)

    def load(self, model: ModelSpec, task: str) -> _Endpoint:
        """Start the server if requested, and wait until it answers.

        Raises:
            ModelError: it does not answer, or gives an invalid answer.
        """
        self.check(model, task)
        settings = msgspec.convert(model.settings, Settings)
        endpoint = _Endpoint(model.id, settings, task)
        try:
            if settings.serve is not None:
                endpoint.server = _start(model.id, settings)
            endpoint.wait_until_ready(endpoint.server)
            endpoint.prepare()
        except ModelError:
            endpoint.close()
            raise
        return endpoint


def _start(model_id: str, settings: Settings, launch: Launch | None = None) -> StartedServer:
    """Start the server, at whose address nothing may answer yet.

    Raises:
        ModelError: something does, or it cannot be started.
    """
    # Otherwise the new server could not open its port, and the old one would be measured instead.
    if address.is_listening(urlsplit(settings.url)):
        raise ModelError(
            f"model {model_id!r}: a server already answers at {settings.url}; stop it, "
            "or remove serve"
        )
    assert settings.serve is not None
    return StartedServer(model_id, settings.serve, launch)


class _Endpoint:
    """The client of a server; ``server`` is one that is to be stopped with the client."""

    server: StartedServer | None = None

    def __init__(self, model_id: str, settings: Settings, task: str) -> None:
        self._settings = settings
        self._task = task
        self._name = settings.model or model_id
        self._body = {"model": self._name, **settings.extra}
        # From the environment: a key in the settings would be stored with each trial, and shown.
        key = os.environ.get(settings.key_env) if settings.key_env else None
        self._client = Client(model_id, settings.url, key, settings.timeout_s)
        self.device = (
            f"elsewhere ({urlsplit(settings.url).hostname}): its energy is not in the figures"
            if settings.remote
            else "server"
        )
        many = settings.concurrency > 1 or settings.rate_per_s is not None
        # One client that waits for each answer is measured like any other model: inference by
        # inference.
        self.traffic = (
            Traffic(concurrency=settings.concurrency, rate_per_s=settings.rate_per_s)
            if many
            else None
        )

    def wait_until_ready(self, server: StartedServer | None) -> None:
        """Wait until the server answers an inference. ``server``: its process, if permille started
        it.

        Raises:
            ModelError: it does not in time, or refuses.
        """
        wait_until_ready(self._probe, server, self._settings.serve_wait_s)

    def prepare(self) -> None:
        """Ask the server, which is ready, how it takes the settings that servers take in different
        ways."""
        if self._settings.reasoning is not None:
            owner = answers.owner_of(self._models(), self._name)
            self._body = {**reasoning_fields(self._settings.reasoning, owner), **self._body}

    @property
    def facts(self) -> ModelFacts:
        """The number of parameters, if the server reports it (llama.cpp does)."""
        return ModelFacts(params=answers.params_of(self._models(), self._name))

    def _models(self) -> dict[str, Any]:
        """The server's list of models. Many servers have no such route, which must not void the
        measurement: then it is empty."""
        try:
            return self._client.get("/models", timeout_s=min(self._settings.timeout_s, _FACTS_S))
        except InferenceError:
            return {}

    def infer(self, request: Any) -> Any:
        """Send one request and parse its whole answer, so that a failure is known immediately. Any
        thread may call this.

        Raises:
            InferenceError: the server or its answer reports an error, or the answer is unreadable.
        """
        if isinstance(request, Text) and self._task == "feature-extraction":
            body = self._client.post("/embeddings", self._embed(request.text), self._client.whole)
            return request, answers.embedding(self._client.at, body)
        path, body = self._question(request)
        if self._settings.stream:
            # Without it, a stream has no counts of tokens: OpenAI's API gives them only on request.
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        # The study file's own fields (extra) come last, so that they count.
        body = {"temperature": 0, **body, **self._body}
        t0_ns = time.monotonic_ns()
        output = self._client.post(path, body, lambda came: self._answer(came, body, t0_ns))
        if self._settings.reasoning == OFF:
            check_off(self._client.at, output)
        return request, output

    def read(self, raw: Any) -> Output:
        """The text, the label it names, or the embedding."""
        request: Any
        output: Output
        request, output = raw
        if isinstance(request, Choice):
            label = named(output.text or "", request.choices)
            return msgspec.structs.replace(output, label=label)
        return output

    def close(self) -> None:
        """Stop the server if permille started it."""
        self._client.close()
        if self.server is not None:
            self.server.stop()

    def _probe(self, timeout_s: float | None) -> None:
        """Request one small inference, to check whether the server is ready.

        The list of models or a health route may answer while the model is still loading. Whether
        the answer is readable is checked with the first real request, because the first token of a
        reasoning model may have no text.
        """
        if self._task == "feature-extraction":
            path, body = "/embeddings", self._embed("Hello")
        else:
            chat = Chat(messages=(("user", "Hello"),), max_new_tokens=1)
            text = Generate(prompt="Hello", max_new_tokens=1)
            path, body = self._question(chat if self._task == "chat" else text)
            body = {"temperature": 0, **body, **self._body}
        # As bytes, because it may be a stream, if extra asks for one.
        content = self._client.post(
            path, body, lambda came: b"".join(came.pieces), timeout_s=timeout_s
        )
        try:
            answer = self._client.parse(content)
        except InferenceError:
            return
        answers.check_no_error(self._client.at, answer)

    def _embed(self, text: str) -> dict[str, Any]:
        return {**self._body, "input": text}

    def _question(self, request: Any) -> tuple[str, dict[str, Any]]:
        if isinstance(request, Choice):
            prompt, most = request.prompt, self._settings.max_new_tokens or CHOICE_TOKENS
        elif isinstance(request, Generate):
            prompt, most = request.prompt, request.max_new_tokens
        elif isinstance(request, Chat):
            messages = [{"role": role, "content": text} for role, text in request.messages]
            return "/chat/completions", {"messages": messages, "max_tokens": request.max_new_tokens}
        else:
            raise ModelError(
                f"backend endpoint does not support a {type(request).__name__} request"
            )
        if self._settings.api == "chat":
            messages = [{"role": "user", "content": prompt}]
            return "/chat/completions", {"messages": messages, "max_tokens": most}
        return "/completions", {"prompt": prompt, "max_tokens": most}

    def _answer(self, came: Body, body: dict[str, Any], t0_ns: int) -> Output:
        # The newer name of OpenAI's API counts if extra has it; max_tokens is deprecated there.
        requested = answers.count(body.get("max_completion_tokens") or body.get("max_tokens"))
        answer = answers.Answer(self._client.at, requested)
        # A server that cannot stream, or has only an error to report, answers with one object.
        if not body.get("stream") or came.content_type.startswith("application/json"):
            answer.add(self._client.whole(came))
            return answer.output()
        return self._streamed(came, answer, t0_ns)

    def _streamed(self, came: Body, answer: answers.Answer, t0_ns: int) -> Output:
        first_s = last_s = None
        for event in events(came.pieces):
            if event.data.strip() == "[DONE]":
                break
            if event.type == "error":
                raise InferenceError(
                    f"{self._client.at}: the server answered with an error:"
                    f" {answers.error_words(_object_or_text(event.data))}"
                )
            for data in self._objects(event.data):
                # OpenAI's first event has only the role, its last only the usage: neither is a
                # token.
                if not answer.add(data):
                    continue
                now_s = (time.monotonic_ns() - t0_ns) / 1e9
                if first_s is None:
                    first_s = now_s
                else:
                    last_s = now_s
        else:
            if not answer.is_finished:
                raise InferenceError(
                    f"{self._client.at}: the stream broke off: it has neither [DONE] nor a"
                    " finish_reason"
                )
        output = answer.output(first_s, last_s)
        return msgspec.structs.replace(output, sent_ns=t0_ns)

    def _objects(self, data: str) -> list[dict[str, Any]]:
        """The object of an event, or of each line if a server omits the blank lines between its
        events."""
        lines = data.split("\n")
        if len(lines) == 1 or isinstance(_object_or_text(data), dict):
            return [self._client.parse(data)]
        return [self._client.parse(line) for line in lines if line and line.strip() != "[DONE]"]


def _object_or_text(data: str) -> Any:
    try:
        decoded = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return data
    if isinstance(decoded, dict) and decoded.get("error"):
        return decoded["error"]
    return decoded


backend: Backend = EndpointBackend()
