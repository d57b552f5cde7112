"""Against a real llama.cpp server with a real model, and against servers that misbehave."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from permille import assets
from permille.backends.endpoint import backend
from permille.backends.endpoint.plugin import _Endpoint
from permille.errors import InferenceError, ModelError
from permille.workload.outputs import Output
from permille.workload.requests import Chat, Choice, Generate, Text, Traffic
from permille.workload.specs import ModelSpec
from tests import quickstart_assets

ROOT = Path(__file__).parents[2]
TASK = "text-classification"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def spec(port: int, **settings: Any) -> ModelSpec:
    return ModelSpec(
        id="smol",
        backend="endpoint",
        category="general-purpose",
        settings={"url": f"http://127.0.0.1:{port}/v1", **settings},
    )


def command(port: int, *flags: str) -> str:
    file = assets.resolve("asset:smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf")
    code = "import sys, runpy; sys.path.insert(0, sys.argv.pop(1)); "
    code += "runpy.run_module('tests.llama_server', run_name='__main__', alter_sys=True)"
    return shlex.join([sys.executable, "-c", code, str(ROOT), str(file), str(port), *flags])


def load(model: ModelSpec, task: str = TASK) -> _Endpoint:
    loaded = backend.load(model, task)
    assert isinstance(loaded, _Endpoint)
    return loaded


# --- a real server -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server that the tests share, started by permille itself."""
    port = free_port()
    loaded = load(spec(port, serve=command(port)))
    yield port
    loaded.close()


def ask(port: int, request: Any, **settings: Any) -> Output:
    loaded = load(spec(port, extra={"cache_prompt": False}, **settings))
    try:
        return loaded.read(loaded.infer(request))
    finally:
        loaded.close()


@quickstart_assets.needed
@pytest.mark.slow
class TestReal:
    def test_a_completion_is_greedy_and_counted(self, port: int) -> None:
        request = Generate(prompt="The capital of France is", max_new_tokens=4)
        output = ask(port, request)
        assert "Paris" in (output.text or "")
        assert (output.tokens_in, output.tokens_out) == (5, 4)
        assert output == ask(port, request)

    def test_streaming_gives_the_same_answer_and_the_time_to_its_first_token(
        self, port: int
    ) -> None:
        request = Generate(prompt="The capital of France is", max_new_tokens=12)
        whole, streamed = ask(port, request), ask(port, request, stream=True)
        assert (streamed.text, streamed.tokens_in, streamed.tokens_out) == (
            whole.text,
            whole.tokens_in,
            whole.tokens_out,
        )
        assert streamed.first_token_s is not None
        assert streamed.first_token_s > 0
        assert whole.first_token_s is None

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_chat_goes_through_the_models_template(self, port: int, stream: bool) -> None:
        output = ask(
            port, Chat(messages=(("user", "Say hello."),), max_new_tokens=8), stream=stream
        )
        assert output.text
        assert output.tokens_in is not None
        assert output.tokens_in > 10  # the template's own tokens are there

    def test_a_choice_is_read_out_of_the_text(self, port: int) -> None:
        request = Choice(prompt="The capital of France is", choices=(" London", " Paris"))
        assert ask(port, request).label == " Paris"
        unreadable = ask(port, Choice(prompt="The capital of France is", choices=("x1", "x2")))
        assert unreadable.label is None
        assert unreadable.text

    def test_a_connection_is_used_again(self, port: int) -> None:
        loaded = load(spec(port))
        request = Generate(prompt="One, two,", max_new_tokens=3)
        first = loaded.read(loaded.infer(request))
        connection = loaded._client._kept.connection
        again = loaded.read(loaded.infer(request))
        assert loaded._client._kept.connection is connection
        assert again.text == first.text
        loaded.close()

    def test_what_the_server_tells_of_the_model(self, port: int) -> None:
        loaded = load(spec(port))
        assert loaded.facts.params == 134_515_008
        assert loaded.device == "server"
        assert loaded.traffic is None
        loaded.close()

    def test_a_server_is_not_started_beside_another(self, port: int) -> None:
        with pytest.raises(ModelError, match=r"already answers at"):
            load(spec(port, serve=command(port)))

    def test_embeddings_and_the_end_of_a_started_server(self) -> None:
        port = free_port()
        model = spec(port, serve=command(port, "--embedding"))
        loaded = load(model, "feature-extraction")
        try:
            cat, kitten, tax = (
                loaded.read(loaded.infer(Text(text=text)))
                for text in ("a cat", "a kitten", "the tax law of 1996")
            )
        finally:
            loaded.close()
        assert len(cat.data) == 576
        assert cat.tokens_in
        product: Callable[[Output, Output], float] = lambda a, b: sum(  # noqa: E731
            x * y for x, y in zip(a.data, b.data, strict=True)
        )
        assert product(cat, kitten) > product(cat, tax)
        with pytest.raises(ModelError, match="no server at"):
            backend.check(spec(port), TASK)


# --- servers that misbehave --------------------------------------------------------------


class Misbehaving(BaseHTTPRequestHandler):
    """Answers with ``reply``; a number of seconds is a wait, None hangs up."""

    protocol_version = "HTTP/1.1"
    reply: Any = b"{}"
    status = 200

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.reply is None:
            self.close_connection = True
            return
        if isinstance(self.reply, float):
            time.sleep(self.reply)
            return
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.reply)))
        self.end_headers()
        self.wfile.write(self.reply)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def misbehaving() -> Iterator[Callable[..., int]]:
    servers = []

    def start(reply: Any, status: int = 200) -> int:
        handler = type("Handler", (Misbehaving,), {"reply": reply, "status": status})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return int(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


REQUEST = Generate(prompt="x", max_new_tokens=1)


@pytest.mark.parametrize(
    ("reply", "status", "settings", "says"),
    [
        (b"<html>", 200, {}, r"not JSON: b'<html>'"),
        (b"[1]", 200, {}, "not an object"),
        (b"[" * 100_000, 200, {}, "not JSON"),
        (b'{"choices": []}', 200, {}, "has no choices"),
        (b'{"choices": [{"text": 7}]}', 200, {}, "has no text"),
        (b'{"error": "bad\\nmodel"}', 404, {}, "status 404: .*bad"),
        (b"x" * (16 << 20) + b"y", 200, {}, "more than 16 MiB"),
        (600.0, 200, {"timeout_s": 0.1}, r"no answer within 0\.1 s; raise timeout_s"),
        (None, 200, {}, "is the server up"),
        (b'data: {"choices": [{"text": "a"}]}\n\n', 200, {"stream": True}, "broke off"),
        (b"data: nonsense\n\n", 200, {"stream": True}, "not JSON"),
    ],
)
def test_nonsense_is_one_line(
    misbehaving: Callable[..., int], reply: Any, status: int, settings: Any, says: str
) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        load(spec(misbehaving(reply, status), **settings)).infer(REQUEST)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_an_answer_without_usage_counts_nothing(misbehaving: Callable[..., int]) -> None:
    reply = json.dumps({"choices": [{"text": "a"}], "usage": {"prompt_tokens": -3}}).encode()
    loaded = load(spec(misbehaving(reply)))
    assert loaded.read(loaded.infer(REQUEST)) == Output(text="a")
    loaded.close()


def test_an_embedding_that_is_none(misbehaving: Callable[..., int]) -> None:
    loaded = load(spec(misbehaving(b'{"data": [{"embedding": "abc"}]}')), "feature-extraction")
    with pytest.raises(InferenceError, match="has no embedding"):
        loaded.infer(Text(text="x"))
    loaded.close()


# --- found before anything runs ----------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"url": "ftp://localhost/v1"}, "not of the form"),
        ({"url": "http://user:pass@localhost/v1"}, "key_env"),
        ({"url": "http://localhost:99999/v1"}, "Port out of range"),
        ({"url": "http://api.example.com/v1"}, "not known to be this machine"),
        ({"concurrency": 0}, "concurrency must be"),
        ({"max_new_tokens": 0}, "max_new_tokens must be"),
        ({"rate_per_s": 0.0}, "rate_per_s must be above 0"),
        ({"rate_per_s": 1.0, "concurrency": 2}, "not both"),
        ({"key_env": "PERMILLE_NO_SUCH_KEY"}, "is not set"),
        ({"serve": "no-such-program-at-all --port 1"}, "no program 'no-such-program-at-all'"),
        ({"serve": "'"}, "No closing quotation"),
    ],
)
def test_settings_that_cannot_be(settings: Any, says: str) -> None:
    model = spec(1, **settings)
    with pytest.raises(ModelError, match=says):
        backend.check(model, TASK)


def test_a_server_that_is_down_is_found_before_anything_is_measured() -> None:
    with pytest.raises(ModelError, match=r"no server at 127\.0\.0\.1:\d+ .*set serve"):
        backend.check(spec(free_port()), TASK)


def test_a_server_that_ends_at_once_is_quoted() -> None:
    serve = shlex.join([sys.executable, "-c", "raise SystemExit('no such model')"])
    with pytest.raises(ModelError, match="exited with 1: no such model"):
        load(spec(free_port(), serve=serve))


def test_a_server_that_never_answers_is_stopped() -> None:
    marker = f"import time; time.sleep(600) # {free_port()}"
    serve = shlex.join([sys.executable, "-c", marker])
    with pytest.raises(ModelError, match="raise serve_wait_s"):
        load(spec(free_port(), serve=serve, serve_wait_s=0.5))
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert marker not in running.stdout


def test_traffic_is_what_the_study_file_asks(misbehaving: Callable[..., int]) -> None:
    port = misbehaving(b"{}")
    for settings in ({"concurrency": 4}, {"rate_per_s": 2.5}):
        loaded = load(spec(port, **settings))
        assert loaded.traffic == Traffic(**settings)
        loaded.close()
