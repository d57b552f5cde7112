"""The endpoint backend against servers that answer in other ways than OpenAI's, badly, or not."""

from __future__ import annotations

import shlex
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from permille.backends.endpoint import address, backend
from permille.errors import InferenceError, ModelError
from permille.workload.outputs import Output
from permille.workload.requests import Chat, Generate
from permille.workload.specs import ModelSpec
from tests.backends.openai_server import DONE, Streamed, Whole, chat, data, delta, serving
from tests.backends.test_endpoint import free_port
from tests.conftest import PATIENCE_S
from tests.dripping import dripping

USAGE = {"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 4}}
ASK = Chat(messages=(("user", "x"),), max_new_tokens=16)


def spec(port: int, **settings: Any) -> ModelSpec:
    return ModelSpec(
        id="m",
        backend="endpoint",
        category="general-purpose",
        settings={"url": f"http://127.0.0.1:{port}/v1", **settings},
    )


def after_the_probe(answer: Any) -> Any:
    """The first request is the one that asks whether the server is ready."""
    return lambda number, asked: chat() if number == 1 else answer


def ask(answer: Whole | Streamed, **settings: Any) -> Output:
    with serving(after_the_probe(answer)) as server:
        loaded = backend.load(spec(server.port, **settings), "chat")
        try:
            return loaded.read(loaded.infer(ASK))
        finally:
            loaded.close()


def stream(*pieces: bytes | float, proper: bool = True) -> Output:
    return ask(Streamed(pieces, proper), stream=True)


GOOD = [*data(delta(content="a"), delta(content="b"), delta("stop"), USAGE)]


# --- streams -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [
        [*GOOD, DONE],
        GOOD,
        [b": keep-alive\n\n", *GOOD, b": bye\n\n", DONE],
        [b"\xef\xbb\xbf", *GOOD, DONE],
        [piece.replace(b"\n", b"\r\n") for piece in [*GOOD, DONE]],
        [piece.replace(b"\n\n", b"\n") for piece in [*GOOD, DONE]],
        [piece.replace(b"{", b"{\ndata: ", 1) for piece in GOOD],
        [b"".join(GOOD)],
        [piece[i : i + 1] for piece in GOOD for i in range(len(piece))],
    ],
)
def test_a_whole_stream_in_any_of_its_forms(pieces: list[bytes]) -> None:
    found = stream(*pieces)
    assert (found.text, found.tokens_in, found.tokens_out) == ("ab", 20, 4)
    assert found.first_token_s is not None


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (data(delta(content="a"), {"error": {"message": "engine died"}}), "engine died"),
        ([*data(delta(content="a")), b"event: error\ndata: out of memory\n\n"], "out of memory"),
        ([*data(delta(content="a")), b'error: {"message": "no slot"}\n\n'], "no slot"),
        ([*data(delta(content="a")), b'event: error\ndata: {"error": "gone"}\n\n'], "gone"),
        ([*data(delta(content="a")), b'{"error": {"message": "bare"}}\n'], "bare"),
        ([*GOOD, *data({"error": {"message": "at the end"}}), DONE], "at the end"),
        ([*data(delta(content="a"), delta("abort")), DONE], "finish_reason 'abort'"),
        ([*data(delta(content="a"), delta("content_filter")), DONE], "'content_filter'"),
        ([*data(delta(content="a"), delta("length"), USAGE), DONE], "cut off after 4 of 16"),
        ([*data(USAGE), DONE], "has no choices"),
        ([*data(delta(), delta("stop")), DONE], "has no text"),
        (data(delta(content="a")), "neither .DONE. nor a finish_reason"),
        ([], "neither .DONE. nor a finish_reason"),
        ([b"data: nonsense\n\n"], "not JSON"),
    ],
)
def test_a_stream_that_failed_is_a_failure_with_the_servers_words(
    pieces: list[bytes], words: str
) -> None:
    with pytest.raises(InferenceError, match=words):
        stream(*pieces)


def test_a_stream_whose_body_is_cut_short_is_a_failure_even_after_its_reason() -> None:
    with pytest.raises(InferenceError, match="cut short"):
        stream(*GOOD, proper=False)


def test_a_server_that_cannot_stream_gives_an_answer_without_time_to_first_token() -> None:
    found = ask(chat("one two"), stream=True)
    assert (found.text, found.first_token_s) == ("one two", None)


def test_a_server_that_does_not_stream_its_error_is_quoted() -> None:
    with pytest.raises(InferenceError, match="no memory"):
        ask(Whole({"error": {"message": "no memory"}}), stream=True)


def test_the_first_token_is_the_first_piece_of_reasoning() -> None:
    role, reasoning = data(delta(role="assistant", content=""), delta(reasoning_content="so"))
    end = data(delta(content="a"), delta("stop"), USAGE)
    found = stream(role, 0.3, reasoning, *end)
    assert found.text == "a"
    assert found.first_token_s is not None
    assert found.first_token_s >= 0.3
    assert found.last_token_s is not None  # that of the text, which came second
    assert stream(role, *end).last_token_s is None


def test_the_last_token_is_the_last_piece_and_an_answer_in_one_piece_has_none() -> None:
    found = stream(*data(delta(content="a")), 0.3, *data(delta(content="b"), delta("stop"), USAGE))
    assert found.first_token_s is not None
    assert found.last_token_s is not None
    assert found.last_token_s > max(0.3, found.first_token_s)
    assert stream(*data(delta(content="ab"), delta("stop"), USAGE)).last_token_s is None


# --- whole answers -----------------------------------------------------------------------


def test_a_body_that_is_cut_short_is_a_failure() -> None:
    with pytest.raises(InferenceError, match="cut short"):
        ask(Whole(chat().body, missing=7))


def test_what_cannot_be_read_fails_at_the_first_answer() -> None:
    with pytest.raises(InferenceError, match="has no text"):
        ask(chat(None))


def test_a_connection_is_not_used_for_the_next_after_a_failure() -> None:
    answers: list[Whole | Streamed] = [
        chat(),
        Streamed([*data({"error": "died"}), *GOOD, DONE]),
        Streamed([*GOOD, DONE]),
    ]
    with serving(lambda number, asked: answers[number - 1]) as server:
        loaded = backend.load(spec(server.port, stream=True), "chat")
        with pytest.raises(InferenceError, match="died"):
            loaded.infer(ASK)
        assert loaded.read(loaded.infer(ASK)).text == "ab"
        loaded.close()


# --- servers that do not come to an end --------------------------------------------------


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        OK + b"X-Slow:",
        OK + b"Content-Length: 100000\r\n\r\n",
        OK + b"\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 100000\r\n\r\n",
    ],
)
def test_a_server_that_drips_meets_the_deadline_of_the_whole_answer(head: bytes) -> None:
    with (
        dripping(head) as port,
        pytest.raises(InferenceError, match=r"no answer within 0\.3 s; raise timeout_s"),
    ):
        backend.load(spec(port, timeout_s=0.3), "chat")


def test_an_answer_without_end_is_bounded() -> None:
    big = b"x" * (1 << 20)
    with pytest.raises(InferenceError, match="more than 16 MiB"):
        stream(*(big for _ in range(18)))


# --- readiness ---------------------------------------------------------------------------


LOADING = Whole({"error": {"code": 503, "message": "Loading model"}}, 503)


def test_a_server_that_loads_is_waited_for_although_its_list_of_models_answers() -> None:
    with serving(lambda n, asked: LOADING if n < 4 else chat(), {"data": []}) as server:
        loaded = backend.load(spec(server.port), "chat")
        assert len(server.posts) == 4
        assert loaded.read(loaded.infer(ASK)).text == "one two"
        loaded.close()


def test_a_server_that_loads_for_ever_is_quoted() -> None:
    with serving(lambda n, asked: LOADING) as server, pytest.raises(ModelError) as caught:
        backend.load(spec(server.port, serve_wait_s=0.3), "chat")
    assert "Loading model" in str(caught.value)
    assert "raise serve_wait_s" in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_a_server_that_refuses_is_not_waited_for(status: int) -> None:
    with serving(lambda n, asked: Whole({"error": "no model m"}, status)) as server:
        with pytest.raises(ModelError, match="no model m"):
            backend.load(spec(server.port), "chat")
        assert len(server.posts) == 1


def test_readiness_is_asked_of_the_route_that_the_task_uses() -> None:
    for task, settings, path in (
        ("chat", {}, "/v1/chat/completions"),
        ("summarization", {}, "/v1/completions"),
        ("summarization", {"api": "chat"}, "/v1/chat/completions"),
        ("feature-extraction", {}, "/v1/embeddings"),
    ):
        with serving(lambda n, asked: chat()) as server:
            backend.load(spec(server.port, **settings), task).close()
        assert [post["path"] for post in server.posts] == [path]


SLOW_SERVER = """
import sys, time
sys.path.insert(0, sys.argv[2])
time.sleep(0.5)
from tests.backends import openai_server as s
print("up")
import http.server
replies = [s.Whole({"error": "Loading model"}, 503)] * 3
def reply(number, asked):
    return replies[number - 1] if number <= 3 else s.chat()
handler = type("H", (s._Handler,), {"reply": staticmethod(reply), "posts": []})
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), handler).serve_forever()
"""


def test_a_server_that_is_started_is_waited_for_until_an_inference_answers(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SLOW_SERVER)
    port, root = free_port(), Path(__file__).parents[2]
    serve = shlex.join([sys.executable, str(tmp_path / "server.py"), str(port), str(root)])
    loaded = backend.load(spec(port, serve=serve), "chat")
    try:
        assert loaded.read(loaded.infer(ASK)).text == "one two"
    finally:
        loaded.close()


# --- facts -------------------------------------------------------------------------------


def test_a_server_without_a_list_of_models_loses_nothing() -> None:
    with serving(lambda n, asked: chat()) as server:
        loaded = backend.load(spec(server.port), "chat")
        assert loaded.facts.params is None
        loaded.close()


def test_parameters_are_of_the_model_that_was_asked_for() -> None:
    entries = [{"id": name, "meta": {"n_params": n}} for name, n in (("a", 1), ("m", 2))]
    with serving(lambda n, asked: chat(), {"data": entries}) as server:
        loaded = backend.load(spec(server.port), "chat")
        assert loaded.facts.params == 2
        loaded.close()


# --- addresses ---------------------------------------------------------------------------


def own_addresses() -> list[str]:
    families = (socket.AF_INET, socket.AF_INET6)
    return [
        entry.address
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in families
    ]


@pytest.fixture
def no_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a name was looked up")

    for name in ("getaddrinfo", "gethostbyname", "getfqdn", "gethostbyaddr"):
        monkeypatch.setattr(socket, name, forbidden)


@pytest.mark.usefixtures("no_lookups")
@pytest.mark.parametrize(
    "host",
    [
        *("0.0.0.0", "::", "::1", "127.0.0.1", "127.9.9.9", "127.1", "::ffff:127.0.0.1"),
        *("localhost", "LOCALHOST.", "a.localhost", socket.gethostname(), *own_addresses()),
    ],
)
def test_every_way_of_writing_this_machine_is_this_machine(host: str) -> None:
    assert address.is_here(host)


@pytest.mark.usefixtures("no_lookups")
@pytest.mark.parametrize(
    "host",
    [
        *("192.0.2.1", "2001:db8::1", "api.example.com", "localhost.example.com", "", ".local"),
        *("notlocalhost", "1.0.0.127.in-addr.arpa"),
    ],
)
def test_another_machine_is_not_this_one_and_the_advice_names_127_0_0_1_first(host: str) -> None:
    assert not address.is_here(host)
    with pytest.raises(ModelError, match=r"write 127\.0\.0\.1 .* remote = true") as caught:
        address.check_here("model 'm'", host)
    assert "\n" not in str(caught.value)


def test_a_server_at_an_unspecified_address_is_asked_and_labelled_as_here() -> None:
    with serving(lambda n, asked: chat()) as server:
        url = f"http://0.0.0.0:{server.port}/v1"
        loaded = backend.load(spec(server.port, url=url), "chat")
        assert loaded.device == "server"
        assert loaded.read(loaded.infer(ASK)).text == "one two"
        loaded.close()


def test_a_server_that_is_started_here_is_not_elsewhere() -> None:
    model = spec(1, serve="true", remote=True)
    with pytest.raises(ModelError, match="remote = true is wrong"):
        backend.check(model, "chat")


@pytest.mark.parametrize(
    "meter",
    [
        "https://192.0.2.1:9465",
        "https://server.example:1",
        "http://127.0.0.1:9465/",
        "http://[::1]:1",
    ],
)
def test_an_agent_measures_a_server_elsewhere(meter: str) -> None:
    address.check_meter("model 'm'", meter)


@pytest.mark.parametrize(
    ("meter", "reason"),
    [
        ("http://server.example:9465", r"has no TLS.*ssh -N -L 9465:127\.0\.0\.1:9465 server"),
        ("http://0.0.0.0:9465", "has no TLS"),
        ("https://server.example", "not of the form"),
        ("https://server.example:0", "not of the form"),
        ("https://user:password@server.example:1", "not of the form"),
        ("https://server.example:1/recorder", "not of the form"),
        ("https://server.example:1?token=x", "not of the form"),
        ("ftp://server.example:1", "not of the form"),
        ("https://server.example:port", "meter"),
        ("https://[::1:1", "meter"),
        ("", "not of the form"),
    ],
)
def test_an_agents_address_that_is_none_or_not_safe_is_refused(meter: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason) as caught:
        address.check_meter("model 'm'", meter)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("other", "settings"), [("remote", {"remote": True}), ("serve", {"serve": "true"})]
)
def test_a_server_is_measured_in_one_way(other: str, settings: dict[str, Any]) -> None:
    model = spec(1, meter="https://server.example:9465", **settings)
    with pytest.raises(ModelError, match=f"so {other} is wrong; remove one"):
        backend.check(model, "chat")


# --- many at once ------------------------------------------------------------------------


def test_threads_share_a_client_and_every_connection_is_closed() -> None:
    with serving(lambda n, asked: chat(asked.get("prompt", "x"))) as server:
        loaded = backend.load(spec(server.port), "summarization")
        texts: list[str | None] = [None] * 8

        def work(number: int) -> None:
            request = Generate(prompt=f"p{number}", max_new_tokens=16)
            texts[number] = loaded.read(loaded.infer(request)).text

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        loaded.close()
        own = psutil.Process()
        assert texts == [f"p{i}" for i in range(8)]
        deadline = time.monotonic() + PATIENCE_S  # the server's own ends close a moment later
        while any(c.raddr and c.raddr.port == server.port for c in own.net_connections("tcp")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
