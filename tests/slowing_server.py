"""A small server of chats in a process of its own: ``slowing_server.py PORT FOLDER [CLIENTS]``.

An answer takes ``QUICK_S``, or, from the moment that more than CLIENTS requests are in flight until
there are none, ``SLOW_S``. Each start adds a line to ``starts`` in FOLDER, each request one to
``requests``. A conversation that contains "die" ends it, once.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

QUICK_S, SLOW_S = 0.05, 1.2
FOLDER = Path(sys.argv[2])
CLIENTS = int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000


def note(name: str, text: str) -> None:
    with (FOLDER / name).open("a") as file:
        file.write(f"{text}\n")


class InFlight:
    """The requests in flight, as a context."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self.slow = False

    def __enter__(self) -> None:
        with self._lock:
            self._count += 1
            self.slow |= self._count > CLIENTS

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._count -= 1
            self.slow &= self._count > 0


IN_FLIGHT = InFlight()


def dies(asked: str) -> bool:
    """The first time that it is asked to."""
    if "die" not in asked:
        return False
    try:
        (FOLDER / "died").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        with IN_FLIGHT:
            self.reply()

    def reply(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = asked["messages"][-1]["content"]
        note("requests", text)
        if dies(text):
            print("out of luck", flush=True)
            os._exit(3)
        time.sleep(QUICK_S)
        if IN_FLIGHT.slow:  # now that those have come which were sent together with it
            time.sleep(SLOW_S - QUICK_S)
        usage = {"prompt_tokens": 5, "completion_tokens": 2}
        if not asked.get("stream"):
            message = {"role": "assistant", "content": "one two"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self.answer({"choices": [choice], "usage": usage})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for content, finish in (("one ", None), ("two", "stop")):
            choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
            self.event({"choices": [choice]})
        self.event({"choices": [], "usage": usage})
        self.wfile.write(b"0\r\n\r\n")

    def event(self, content: object) -> None:
        data = b"data: " + json.dumps(content).encode() + b"\n\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up: nothing to print."""


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
    note("starts", str(os.getpid()))
    server.serve_forever(0.02)
