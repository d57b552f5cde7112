"""A small HTTP server whose metrics a test sets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class MetricsPage:
    """What is served: the text, its status, and headers."""

    def __init__(self) -> None:
        self.text, self.status = "", 200
        self.headers: dict[str, str] = {}
        self.requests = 0
        self.url = ""

    def counts(self, **names: float) -> None:
        self.text = "".join(f"{name.replace('__', ':')} {value}\n" for name, value in names.items())


@contextmanager
def serving() -> Iterator[MetricsPage]:
    page = MetricsPage()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page.requests += 1
            body = page.text.encode()
            self.send_response(page.status)
            for name, value in page.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    page.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield page
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
