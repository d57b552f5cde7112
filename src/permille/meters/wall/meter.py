"""A smart plug or a BMC on the local network: the whole machine's power, at the wall.

PERMILLE_WALL names it (see :mod:`permille.meters.wall.source`). It covers everything in the
machine. The device is not trusted: redirects are not followed, and the size of answers is limited.
"""

from __future__ import annotations

import base64
import http.client
import json
import math
import os
import ssl
import time

from permille.deadline import Connection
from permille.meters import MeterUnavailable, Observation, Reading
from permille.meters.wall.source import VARIABLE, WallSource, parse_source, take
from permille.records.recording import Domain, Provenance

TIMEOUT_S = 2.0
LIMIT_BYTES = 1 << 20


def open_meter() -> WallMeter:
    """The device named in PERMILLE_WALL, after one successful request.

    Raises:
        MeterUnavailable: PERMILLE_WALL is not set, or the device does not answer.
        UsageError: PERMILLE_WALL is malformed.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        raise MeterUnavailable(
            "no plug or BMC is configured",
            f"name one, such as {VARIABLE}=shelly+http://192.168.1.20 (docs/meters.md)",
        )
    meter = WallMeter(parse_source(text))
    (reading,) = meter.read()
    if reading.error is not None:
        raise MeterUnavailable(
            reading.error, f"check {VARIABLE}, and that the device is on", present=True
        )
    return meter


class WallMeter:
    """One device, queried for every reading."""

    name = "wall"
    slow = True
    looks_at_pids = False
    max_interval_s = math.inf

    def __init__(self, source: WallSource) -> None:
        self._source = source
        bound = f"±{source.accuracy * 100:g} %"
        said = "as specified" if source.stated else "assumed; specify your device's with #accuracy="
        self.domains = (
            Domain(
                name="node",
                kind="node",
                meter="wall",
                provenance=Provenance.MEASURED,
                accuracy_low=source.accuracy,
                accuracy_high=source.accuracy,
                accuracy_source=f"{source.kind}: {bound}, {said}",
                resolution_j=_resolution_j(source),
                tick_s=source.tick_s,
                max_power_w=source.max_power_w,
                covers=("cpu", "dram", "gpu", "other"),
                device=source.where,
            ),
        )

    def read(self) -> list[Reading]:
        """The device's value, at the middle of the request."""
        source, before_ns = self._source, time.monotonic_ns()
        try:
            value = take(fetch_json(source), source.json_path) * source.scale
        except (OSError, http.client.HTTPException, ValueError) as error:
            said = f"{source.where}: {error or type(error).__name__}"
            return [Reading("node", time.monotonic_ns(), error=said)]
        t_ns = (before_ns + time.monotonic_ns()) // 2
        if source.is_power:
            return [Reading("node", t_ns, power_w=value)]
        return [Reading("node", t_ns, energy_j=value)]

    def observe(self, pids: frozenset[int]) -> Observation:
        """Report if the device's certificate is not verified."""
        del pids
        notices: tuple[tuple[str | None, str], ...] = ()
        if self._source.secure and not self._source.verify:
            notices = (("node", f"{self._source.where}: its certificate is not verified"),)
        return Observation(notices=notices, identity=self._source.where)

    def close(self) -> None:
        """There is nothing to release."""


def fetch_json(source: WallSource) -> object:
    """The device's answer, decoded.

    Raises:
        OSError, http.client.HTTPException: it did not answer.
        ValueError: the answer is not JSON.
    """
    context = ssl.create_default_context() if source.secure else None
    if context is not None and not source.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    scheme = "https" if source.secure else "http"
    connection = Connection(scheme, source.host, source.port, context)
    connection.deadline_s = time.monotonic() + TIMEOUT_S
    headers = {"Accept": "application/json"}
    if source.user is not None:
        pair = f"{source.user}:{source.password or ''}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    try:
        response = connection.send("GET", source.target, None, headers)
        raw = response.read(LIMIT_BYTES + 1)
    finally:
        connection.close()
    if response.status != 200:
        raise ValueError(f"it answered {response.status} {response.reason}")
    if len(raw) > LIMIT_BYTES:
        raise ValueError("its answer is over 1 MiB")
    try:
        return json.loads(raw)
    except RecursionError as error:
        raise ValueError("its answer is nested too deeply") from error


def _resolution_j(source: WallSource) -> float | None:
    """The resolution of energy: plugs count whole watt-hours (Tasmota, 0.001 kWh) or finer (Shelly,
    0.001 Wh)."""
    if source.is_power:
        return None
    return {"energy_kwh": 3600.0, "energy_wh": 3.6, "energy_j": 1.0}[source.unit]
