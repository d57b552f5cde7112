"""The watch's counters for an OpenTelemetry collector, by OTLP over HTTP.

Names, units and attributes are those of OpenTelemetry's semantic conventions for hardware:
``hw.energy`` (J) and ``hw.power`` (W) of components, ``hw.host.energy`` and ``hw.host.power`` of
the whole machine (https://opentelemetry.io/docs/specs/semconv/hardware/).
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from permille.errors import UsageError
from permille.extras import extra
from permille.records.energy import DomainEnergy
from permille.version import __version__
from permille.watch.ledger import WatchStep

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Observation

MOST_WAIT_S = 5.0
"""The longest that one export takes, attempts included."""
_TYPES = {"cpu": "cpu", "dram": "memory", "gpu": "gpu", "other": "other"}
"""Kinds of domain as values of ``hw.type``; that of a whole machine has metrics of its own."""


def endpoint(text: str) -> str:
    """The address of a collector's metrics: with ``/v1/metrics`` unless it has a path.

    Raises:
        UsageError: it is not an http address.
    """
    try:
        parts = urlsplit(text)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError as error:
        raise UsageError(f"--otlp {text!r}: {error}") from error
    if wrong:
        raise UsageError(f"--otlp {text!r} is not an address such as http://127.0.0.1:4318")
    return parts._replace(path=parts.path if parts.path.strip("/") else "/v1/metrics").geturl()


class OtlpExport:
    """Sends the counters after each step, within ``wait_s`` seconds.

    Raises:
        UsageError: the packages are not installed.
    """

    def __init__(self, url: str, wait_s: float) -> None:
        with extra("otlp", "--otlp"):
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
            from opentelemetry.sdk.resources import Resource
        # It logs each attempt that fails; permille says once that sending fails.
        logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
        logging.getLogger("opentelemetry").propagate = False
        self._url, self._failing = url, False
        self._success = MetricExportResult.SUCCESS
        # Its own limit is ten seconds, the whole of a period at the usual --every: looks would be
        # late.
        self._sender = OTLPMetricExporter(endpoint=url, timeout=min(wait_s, MOST_WAIT_S))
        # Its sums are cumulative unless told otherwise: a later export makes up for one that
        # failed.
        self._reader = InMemoryMetricReader()
        about = {
            "service.name": "permille",
            "service.version": __version__,
            "host.name": platform.node(),
        }
        # Sent by hand after each step: a periodic reader would send the same figures again.
        self._provider = MeterProvider(
            [self._reader], Resource.create(about), shutdown_on_exit=False
        )
        self._last: WatchStep | None = None
        self._instruments()

    def _instruments(self) -> None:
        meter = self._provider.get_meter("permille", __version__)
        self._energy = meter.create_counter("hw.energy", "J", "Energy consumed by the component.")
        self._host_energy = meter.create_counter(
            "hw.host.energy", "J", "Total energy consumed by the entire physical host, in joules."
        )
        # A gauge is only observed of the last step: what is unknown now is not sent.
        meter.create_observable_gauge(
            "hw.power", [self._power], "W", "Mean power of the component since the last export."
        )
        meter.create_observable_gauge(
            "hw.host.power", [self._host_power], "W", "Mean power of the host, likewise."
        )
        self._unmetered = meter.create_counter(
            "permille.unmetered.time", "s", "Time for which a component has no figure."
        )
        self._requests = meter.create_counter(
            "permille.requests", "{request}", "Requests that ended well."
        )
        self._tokens = meter.create_counter("permille.tokens", "{token}", "Tokens.")

    def add(self, step: WatchStep) -> str | None:
        """Count a step and send everything. Returns what to tell people: that sending began to
        fail, or succeeds again. The sums go on either way: nothing is lost by a failure."""
        self._count(step)
        self._last = step
        data = self._reader.get_metrics_data()
        sent = data is not None and self._sender.export(data) is self._success
        if sent is not self._failing:
            return None
        self._failing = not sent
        if sent:
            return f"{self._url} takes the metrics again"
        return f"the watch goes on, but {self._url} does not take its metrics"

    def close(self) -> None:
        """Free the connection."""
        self._provider.shutdown()
        self._sender.shutdown()

    def _count(self, step: WatchStep) -> None:
        for name, domain in step.phase.domains.items():
            counter = self._host_energy if domain.kind == "node" else self._energy
            # A counter takes no amount below 0 (OpenTelemetry's specification of metrics).
            counter.add(max(0.0, domain.energy_j), _attributes(name, domain))
        for name in step.phase.problems:
            self._unmetered.add(step.phase.seconds, {"hw.id": name})
        served = step.served
        if served is None:
            return
        # As in https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/, whose own metric
        # of tokens is a histogram of single requests, which a server's counters cannot give.
        for model, counts in served.by_model().items():
            named = {"gen_ai.request.model": model} if model else {}
            if counts.requests is not None:
                self._requests.add(counts.requests, named)
            for direction, tokens in (
                ("input", counts.input_tokens),
                ("output", counts.output_tokens),
            ):
                if tokens is not None:
                    self._tokens.add(tokens, {**named, "gen_ai.token.type": direction})

    def _power(self, options: CallbackOptions) -> Iterable[Observation]:
        return self._observed(whole=False)

    def _host_power(self, options: CallbackOptions) -> Iterable[Observation]:
        return self._observed(whole=True)

    def _observed(self, *, whole: bool) -> Iterator[Observation]:
        from opentelemetry.metrics import Observation

        step = self._last
        if step is None or not step.phase.seconds:
            return
        for name, domain in step.phase.domains.items():
            if (domain.kind == "node") is whole:
                watts = domain.energy_j / step.phase.seconds
                yield Observation(watts, _attributes(name, domain))


def _attributes(name: str, domain: DomainEnergy) -> dict[str, str]:
    kind = {} if domain.kind == "node" else {"hw.type": _TYPES[domain.kind]}
    return {"hw.id": name, **kind, "permille.provenance": str(domain.provenance)}
