"""Serve the explorer on loopback: read-only, GET and HEAD, and no request is trusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from permille.errors import PermilleError
from permille.explorer import page
from permille.explorer.figures import Figures
from permille.explorer.rows import csv_text, question

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_QUERY = 8_192
"""The most bytes in a query string."""

GZIP_LEVEL = 4
"""Within 2 % of the size of level 9 on the figures of many cells, in a quarter of the time."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # Kept, but never shown unasked (RFC 9111, 5.2.2.4): the figures change with the store.
    "cache-control": "no-cache",
}


def app(figures: Figures, port: int) -> Starlette:
    """The application, for requests to this port of this machine only."""
    made = Starlette(
        routes=_routes(figures),
        middleware=[
            # Outermost, so that nothing is routed or compressed for who is refused.
            Middleware(Guard, port=port),
            Middleware(GZipMiddleware, minimum_size=1_000, compresslevel=GZIP_LEVEL),
        ],
        exception_handlers={PermilleError: _refusal},
    )
    # A path that is another's but for a slash is not there, as any other unknown one.
    made.router.redirect_slashes = False
    return made


class Guard:
    """Refuses requests from other sites' pages, and adds the security policy to every response.

    A foreign name that resolves to 127.0.0.1 (DNS rebinding) fails the Host check; another site's
    script fails the Origin or Sec-Fetch-Site check. Following a link from elsewhere is allowed.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self.app = app
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        if port == 80:
            self.hosts |= {"127.0.0.1", "localhost", "[::1]"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                # In place of a route's own: of two policies both hold, and two fields of
                # Cache-Control are read as one list (RFC 9110, 5.3).
                headers = [h for h in message["headers"] if h[0].decode("latin-1") not in HEADERS]
                headers += [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message = {**message, "headers": headers}
            await send(message)

        refused = self._refused(scope)
        answer = PlainTextResponse(f"{refused[1]}\n", status_code=refused[0]) if refused else None
        await (answer or self.app)(scope, receive, sealed)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        # A field may have any byte above 127 (RFC 9110, 5.5); latin-1 has a character for each.
        headers = [(k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in scope["headers"]]
        hosts = [value for name, value in headers if name == "host"]
        sent = dict(headers)
        # Two Host fields are an attempt to have them read differently (RFC 9112, 3.2).
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return 421, "this server only answers to 127.0.0.1 and localhost"
        if scope["method"] not in ("GET", "HEAD"):
            return 405, "this server is read-only: use GET or HEAD"
        origin = sent.get("origin")
        if origin is not None and origin.removeprefix("http://").lower() not in self.hosts:
            return 403, "another site's request"
        if (
            # What a page cannot set itself (https://w3c.github.io/webappsec-fetch-metadata/).
            sent.get("sec-fetch-site") in ("cross-site", "same-site")
            # A link on another site navigates; so does a frame, which frame-ancestors refuses.
            and sent.get("sec-fetch-mode") != "navigate"
        ):
            return 403, "another site's request"
        if len(scope["query_string"]) > LONGEST_QUERY:
            return 414, f"the query has more than {LONGEST_QUERY} bytes"
        return None


def _refusal(request: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, status=400)


def _json(payload: Any, *, status: int = 200, tag: str | None = None) -> Response:
    text = payload if isinstance(payload, str) else json.dumps(payload, allow_nan=False)
    headers = {"etag": f'"{tag}"'} if tag else {}
    return Response(text, status_code=status, media_type="application/json", headers=headers)


def _routes(figures: Figures) -> list[Route]:
    answers = _Answers(figures)
    paths: dict[str, Callable[[Request], Any]] = {
        "/": _index,
        "/static/{name}": _static,
        "/document.json": answers.document,
        "/revision": answers.revision,
        "/details.json": answers.details,
        "/licences.json": _licences,
        "/rows.{kind}": answers.rows,
        "/trials/{cell}": answers.trials,
        "/answer-times/{cell}": answers.answer_times,
        "/run/{uid}": answers.run,
    }
    return [Route(path, endpoint, methods=["GET"]) for path, endpoint in paths.items()]


# Plain functions: Starlette runs them in threads, so a slow one does not block others.


def _index(request: Request) -> Response:
    return Response(page.served(), media_type="text/html")


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    # By a list of what was built: no text of a request becomes a part of a path.
    if name not in page.served_assets():
        return PlainTextResponse("no such file\n", status_code=404)
    kind = "text/css" if name.endswith(".css") else "text/javascript"
    return Response(page.asset(name), media_type=kind)


def _licences(request: Request) -> Response:
    return _json(page.asset("licences.json"))


class _Answers:
    """What is answered from the figures."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def document(self, request: Request) -> Response:
        state = self._figures.state()
        if request.headers.get("if-none-match") == f'"{state.tag}"':
            return Response(status_code=304, headers={"etag": f'"{state.tag}"'})
        return _json(state.document, tag=state.tag)

    async def revision(self, request: Request) -> Response:
        # Asked for every other second by every page that is in sight: nothing is read.
        return PlainTextResponse(self._figures.revision())

    def details(self, request: Request) -> Response:
        state = self._figures.state()
        return _json(state.details, tag=state.tag)

    def rows(self, request: Request) -> Response:
        query = question(request.query_params)
        kind = request.path_params["kind"]
        table = self._figures.state().rows
        if kind == "parquet":
            return _download(table.parquet(query), "application/vnd.apache.parquet", kind)
        if kind == "csv":
            return _download(csv_text(table.records(query)), "text/csv", kind)
        if kind == "json":
            body = {"schema": 1, "rows": table.records(query)}
            return _download(json.dumps(body, allow_nan=False), "application/json", kind)
        return PlainTextResponse("csv, json or parquet\n", status_code=404)

    def trials(self, request: Request) -> Response:
        listed = self._figures.trials(request.path_params["cell"])
        return _json({"error": "no such cell"}, status=404) if listed is None else _json(listed)

    def answer_times(self, request: Request) -> Response:
        timed = self._figures.answer_times(request.path_params["cell"])
        return _json({"error": "no such cell"}, status=404) if timed is None else _json(timed)

    def run(self, request: Request) -> Response:
        shown = self._figures.run(request.path_params["uid"])
        return _json({"error": "no such trial"}, status=404) if shown is None else _json(shown)


def _download(content: bytes | str, kind: str, suffix: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="permille.{suffix}"'}
    return Response(content, media_type=kind, headers=headers)
