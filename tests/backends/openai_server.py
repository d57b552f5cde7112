"""A loopback server that answers as a test tells it to: whole bodies, streams piece by piece,
bodies that are cut short or never end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

USAGE = {"prompt_tokens": 20, "completion_tokens": 4}


class Whole(NamedTuple):
    """One JSON body. ``missing``: bytes that its head promises and that never come."""

    body: Any
    status: int = 200
    missing: int = 0


class Streamed(NamedTuple):
    """A chunked body in pieces; a number among them is a wait in seconds. ``proper``: whether the
    last chunk comes."""

    pieces: Sequence[bytes | float]
    proper: bool = True


Reply = Callable[[int, dict[str, Any]], Whole | Streamed]


def chat(content: Any = "one two", finish_reason: str | None = "stop", **more: Any) -> Whole:
    """An ordinary answer of a chat."""
    message = {"role": "assistant", "content": content} | more
    return Whole(
        {"choices": [{"index": 0, "message": message, "finish_reason": finish_reason}]}
        | {"usage": USAGE}
    )


def data(*objects: Any) -> list[bytes]:
    """Events of a stream."""
    return [b"data: " + json.dumps(one).encode() + b"\n\n" for one in objects]


def delta(finish_reason: str | None = None, **part: Any) -> dict[str, Any]:
    """One piece of a streamed answer."""
    return {"choices": [{"index": 0, "delta": part, "finish_reason": finish_reason}]}


DONE = b"data: [DONE]\n\n"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    reply: Reply
    models: Any = None
    lock = threading.Lock()
    posts: list[dict[str, Any]]

    def do_GET(self) -> None:
        self._whole(Whole(self.models, 200) if self.models is not None else Whole({}, 404))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock:
            self.posts.append({"path": self.path, **asked})
            number = len(self.posts)
        answer = type(self).reply(number, asked)
        if isinstance(answer, Whole):
            self._whole(answer)
        else:
            self._stream(answer)

    def _whole(self, answer: Whole) -> None:
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body) + answer.missing))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = answer.missing > 0

    def _stream(self, answer: Streamed) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for piece in answer.pieces:
                if isinstance(piece, float):
                    time.sleep(piece)
                else:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if answer.proper:
                self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client has seen enough
        self.close_connection = not answer.proper

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what is tested: nothing to print."""


class Running(NamedTuple):
    """A server that runs, and what it was asked."""

    port: int
    posts: list[dict[str, Any]]


@contextmanager
def serving(reply: Reply, models: Any = None, host: str = "127.0.0.1") -> Iterator[Running]:
    """A server for a while."""
    posts: list[dict[str, Any]] = []
    members = {"reply": staticmethod(reply), "models": models, "posts": posts}
    server = _Server((host, 0), type("Handler", (_Handler,), members))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield Running(int(server.server_address[1]), posts)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
