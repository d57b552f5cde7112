"""A server that answers as the Hub's API documents, for its own client: models and datasets in
folders, one commit each. Run it with :func:`serve`, and point ``HF_ENDPOINT`` at it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


class FakeHub:
    """What the server has. ``asked`` are the paths that were asked for."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.asked: list[str] = []
        self.url = ""

    def forget(self) -> None:
        """As it was at first."""
        self.repos.clear()
        self.gated.clear()
        self.asked.clear()

    def add(self, kind: str, repo: str, folder: Path) -> str:
        """Publish a folder as the ``models`` or ``datasets`` repository ``repo``; its commit."""
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        self.repos[kind, repo] = files
        return self.commit(kind, repo)

    def commit(self, kind: str, repo: str) -> str:
        sha = hashlib.sha1()
        for name, content in self.repos[kind, repo].items():
            sha.update(name.encode() + content)
        return sha.hexdigest()


@contextlib.contextmanager
def serve() -> Iterator[FakeHub]:
    hub = FakeHub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        path = unquote(url.path).strip("/")
        self.hub.asked.append(path)
        words = path.split("/")
        if words[0] == "api" and words[1] in ("models", "datasets") and len(words) >= 4:
            self._api(words[1], "/".join(words[2:4]), words[4:], body)
        elif "resolve" in words:
            kind = "datasets" if words[0] == "datasets" else "models"
            at = words.index("resolve")
            self._file(kind, "/".join(words[at - 2 : at]), words[at + 1], "/".join(words[at + 2 :]))
        else:
            self._fail(404, "EntryNotFound")

    def _api(self, kind: str, repo: str, rest: list[str], body: bytes) -> None:
        files = self._files(kind, repo, rest[1] if len(rest) > 1 else "main")
        if files is None:
            return
        if not rest or rest[0] == "revision":
            self._json(
                {
                    "id": repo,
                    "sha": self.hub.commit(kind, repo),
                    "private": False,
                    "gated": False,
                    "tags": [],
                    "downloads": 0,
                    "likes": 0,
                    "siblings": [{"rfilename": n, "size": len(c)} for n, c in files.items()],
                }
            )
        elif rest[0] == "tree":
            below = "/".join(rest[2:])
            self._json([e for e in _entries(files) if _within(e["path"], below)])
        elif rest[0] == "paths-info":
            try:
                wanted = json.loads(body)["paths"]
            except ValueError:
                wanted = [value for key, value in parse_qsl(body.decode()) if key == "paths"]
            self._json([entry for entry in _entries(files) if entry["path"] in wanted])
        else:
            self._fail(404, "EntryNotFound")

    def _file(self, kind: str, repo: str, revision: str, name: str) -> None:
        files = self._files(kind, repo, revision)
        if files is None:
            return
        if name not in files:
            self._fail(404, "EntryNotFound")
            return
        content, status = files[name], 200
        headers = {
            "ETag": f'"{hashlib.sha1(content).hexdigest()}"',
            "X-Repo-Commit": self.hub.commit(kind, repo),
            "Accept-Ranges": "bytes",
        }
        asked = self.headers.get("Range")
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first or 0), min(int(last or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content, status = content[start : end + 1], 206
        self._send(status, content, headers)

    def _files(self, kind: str, repo: str, revision: str) -> dict[str, bytes] | None:
        """The files of a repository at a revision, or None after an error was sent."""
        files = self.hub.repos.get((kind, repo))
        if files is None:
            self._fail(404, "RepoNotFound")
        elif repo in self.hub.gated:
            self._fail(403, "GatedRepo")
        elif revision not in ("main", self.hub.commit(kind, repo)):
            self._fail(404, "RevisionNotFound")
        else:
            return files
        return None

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _fail(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(content)


def _entries(files: dict[str, bytes]) -> list[dict[str, Any]]:
    """The files and folders of a tree, as the Hub lists them."""
    found: dict[str, dict[str, Any]] = {}
    for name, content in files.items():
        parts = name.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            found[folder] = {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
        oid = hashlib.sha1(content).hexdigest()
        found[name] = {"type": "file", "path": name, "oid": oid, "size": len(content)}
    return list(found.values())


def _within(path: str, folder: str) -> bool:
    return not folder or path.startswith(folder + "/")
