"""The watch's own ``/metrics``, in Prometheus' format: counters in base units, which never go back
while it runs."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from permille.errors import UsageError
from permille.extras import extra
from permille.records.energy import Boundary
from permille.watch.ledger import WatchStep

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily
    from prometheus_client.registry import Collector


class WatchCounters:
    """The sums of a watch since its start, one for each series that is served."""

    def __init__(self, boundary: Boundary) -> None:
        # The domains are the node's; the PUE of a facility is not in their energy.
        self._boundary = "node" if boundary == "facility" else boundary
        # collect() is called in the threads of the HTTP server.
        self._lock = threading.Lock()
        self._energy_j: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._unmetered_s: defaultdict[str, float] = defaultdict(float)
        self._requests: defaultdict[str, float] = defaultdict(float)
        self._tokens: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._failures = self._restarts = 0
        self._cpu_s = 0.0

    def add(self, step: WatchStep, counted: frozenset[str]) -> None:
        """Add a step. ``counted``: the domains within the boundary."""
        with self._lock:
            for name, domain in step.phase.domains.items():
                if name in counted:
                    self._energy_j[name, domain.provenance] += domain.energy_j
            for name in step.phase.problems:
                self._unmetered_s[name] += step.phase.seconds
            if step.served is None:
                self._restarts += step.lost
                self._failures += not step.lost
            else:
                for model, counts in step.served.by_model().items():
                    if counts.requests is not None:
                        self._requests[model] += counts.requests
                    if counts.input_tokens is not None:
                        self._tokens[model, "input"] += counts.input_tokens
                    if counts.output_tokens is not None:
                        self._tokens[model, "output"] += counts.output_tokens
            self._cpu_s += step.own_cpu * step.phase.seconds

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The families, for prometheus_client."""
        from prometheus_client.core import CounterMetricFamily as Family

        with self._lock:
            # prometheus_client adds _total to the name of a counter. A series begins with its first
            # event, not at 0: a domain without a meter must not read as one without energy.
            energy = Family(
                "permille_energy_joules",
                "Energy of a domain, as far as it is known.",
                labels=["domain", "provenance", "boundary"],
            )
            for (domain, provenance), value in self._energy_j.items():
                energy.add_metric([domain, provenance, self._boundary], value)
            unmetered = Family(
                "permille_unmetered_seconds", "Time without a figure.", labels=["domain"]
            )
            for domain, value in self._unmetered_s.items():
                unmetered.add_metric([domain], value)
            requests = Family("permille_requests", "Requests that ended well.", labels=["model"])
            for model, value in self._requests.items():
                requests.add_metric([model], value)
            tokens = Family("permille_tokens", "Tokens.", labels=["model", "direction"])
            for (model, direction), value in self._tokens.items():
                tokens.add_metric([model, direction], value)
            plain = (
                ("permille_scrape_failures", "Failed readings of counters.", self._failures),
                ("permille_server_restarts", "Restarts, and other new beginnings.", self._restarts),
                ("permille_cpu_seconds", "CPU time that permille itself used.", self._cpu_s),
            )
        yield from (energy, unmetered, requests, tokens)
        for name, text, number in plain:
            family = Family(name, text)
            family.add_metric([], number)
            yield family


class MetricsServer:
    """Serves the counters until the end of the ``with`` block.

    Raises:
        UsageError: prometheus-client is not installed, or the address is not free.
    """

    def __init__(self, counters: Collector, host: str, port: int) -> None:
        with extra("watch", "--serve"):
            from prometheus_client import CollectorRegistry, start_http_server
        # Not the default registry, which also has the Python process's own metrics.
        registry = CollectorRegistry()
        registry.register(counters)
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise UsageError(f"cannot serve at {host}:{port}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
