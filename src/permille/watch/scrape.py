"""One reading of a server's metrics in Prometheus' text format. The server is not trusted: the
answer is limited in time and size."""

from __future__ import annotations

import http.client
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from permille.deadline import Connection
from permille.errors import UsageError
from permille.extras import extra
from permille.records import Record
from permille.watch.kinds import ServerKind, kinds, recognise

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

TIMEOUT_S = 5.0
MAX_BYTES = 16 << 20
MAX_SERIES = 20_000
START = "process_start_time_seconds"
"""Published by Prometheus' client libraries: when the server's process started."""
START_HEADER = "Process-Start-Time-Unix"
"""The same, as llama.cpp's server sends it."""

SeriesKey = tuple[str, str, tuple[tuple[str, str], ...]]
"""Role (``requests``, ``input_tokens``, ``output_tokens``), model, and the other labels."""


class ScrapeFailed(Exception):
    """The server's metrics could not be read; the text says why."""


class Scrape(Record):
    """The counters at one moment, each series by itself, and the requests in work or waiting
    (None: unknown). ``started`` identifies the server's process, if it tells."""

    counters: dict[SeriesKey, float]
    running: float | None
    started: str | None = None


def checked_url(text: str) -> SplitResult:
    """The address of a server's metrics.

    Raises:
        UsageError: it is not an http address.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"--metrics {text!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageError(f"--metrics {text!r} is not an address such as http://127.0.0.1:8000")
    return parts._replace(path=parts.path if parts.path.strip("/") else "/metrics")


class Scraper:
    """Reads the metrics at ``url``. The kind of server is recognised by the first answer, unless
    it is given."""

    def __init__(self, url: SplitResult, kind: ServerKind | None, name: str | None) -> None:
        self._url, self.kind, self.name = url, kind, name
        assert url.hostname is not None
        host, port = url.hostname, url.port
        self._connect: Callable[[], Connection] = lambda: Connection(url.scheme, host, port)
        with extra("watch", "permille watch"):
            from prometheus_client.parser import text_string_to_metric_families
        self._parse = text_string_to_metric_families

    def scrape(self) -> Scrape:
        """Read the counters now.

        Raises:
            ScrapeFailed: there is no answer, or it is not one with this kind's metrics.
        """
        text, started = self._fetch()
        if self.kind is None:
            self.name = recognise(line for line in text.splitlines() if not line.startswith("#"))
            if self.name is None:
                raise ScrapeFailed(
                    f"no server of a known kind ({', '.join(kinds())}) has such metrics;"
                    " describe them in a file: --mapping"
                )
            self.kind = kinds()[self.name]
        return self._read(self.kind, text, started)

    def _fetch(self) -> tuple[str, str | None]:
        connection = self._connect()
        connection.deadline_s = time.monotonic() + TIMEOUT_S
        target = self._url.path + (f"?{self._url.query}" if self._url.query else "")
        try:
            # Not OpenMetrics, which another parser reads (prometheus_client.openmetrics).
            answer = connection.send("GET", target, None, {"Accept": "text/plain;version=0.0.4"})
            body = answer.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            raise ScrapeFailed(f"no answer: {error or type(error).__name__}") from error
        except http.client.HTTPException as error:
            raise ScrapeFailed(f"not an answer of HTTP: {type(error).__name__}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise ScrapeFailed(f"the server answered {answer.status}")
        if len(body) > MAX_BYTES:
            raise ScrapeFailed(f"more than {MAX_BYTES >> 20} MiB of metrics")
        return body.decode("utf-8", "replace"), answer.headers.get(START_HEADER)

    def _read(self, kind: ServerKind, text: str, started: str | None) -> Scrape:
        roles = kind.names()
        counters: dict[SeriesKey, float] = {}
        running: list[float] = []
        for sample in self._samples(text, (*roles, START)):
            if sample.name == START:
                started = str(sample.value)
            role = roles.get(sample.name)
            if role is None or _is_excluded(kind, sample.labels):
                continue
            if not (math.isfinite(sample.value) and sample.value >= 0):
                raise ScrapeFailed(f"{sample.name} is {sample.value}, which is not a count")
            if role == "running":
                running.append(sample.value)
                continue
            model = sample.labels.get(kind.model or "", "")
            labels = tuple(sorted(sample.labels.items()))
            counters[role, model, labels] = sample.value
        # Not counts of 0: it may be another server, or one whose series begin with their first
        # event.
        if not counters and not running:
            raise ScrapeFailed(f"none of {', '.join(roles)} in the answer")
        return Scrape(
            counters=counters, running=math.fsum(running) if running else None, started=started
        )

    def _samples(self, text: str, names: tuple[str, ...]) -> list[Sample]:
        """The samples whose names begin with one of ``names``: parsing takes most of the time."""
        lines = [line for line in text.splitlines() if line.startswith(names)]
        if len(lines) > MAX_SERIES:
            raise ScrapeFailed(f"more than {MAX_SERIES} series")
        try:
            # Without TYPE lines: told that TGI's tgi_request_success is a counter, the parser would
            # name its samples tgi_request_success_total.
            return [s for family in self._parse("\n".join(lines)) for s in family.samples]
        except ValueError as error:
            raise ScrapeFailed(f"not in Prometheus' text format: {error}") from error


def _is_excluded(kind: ServerKind, labels: dict[str, str]) -> bool:
    return any(labels.get(label) in values for label, values in kind.except_.items())
