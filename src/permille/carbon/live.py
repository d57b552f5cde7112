"""Live grid intensity: the latest hour, the last day and the forecast, from version 3 of
Electricity Maps' API.

It is used only on request. A failure is an error; the annual table is never substituted. The token
is read from ``PERMILLE_ELECTRICITYMAPS_TOKEN`` and sent only to that service.
"""

from __future__ import annotations

import math
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import msgspec

from permille.carbon.lookup import find
from permille.carbon.settings import CarbonSettings, resolve
from permille.errors import CarbonError
from permille.records import Record

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.request import BaseHandler

TOKEN_VARIABLE = "PERMILLE_ELECTRICITYMAPS_TOKEN"
URL_VARIABLE = "PERMILLE_ELECTRICITYMAPS_URL"
BASE_URL = "https://api.electricitymaps.com"

TIMEOUT_S = 10.0
LARGEST_RESPONSE = 1 << 20
"""Bytes. A day of hourly values is under 10 KB; 72 hours in steps of 5 minutes are under 300 KB."""

_ZONE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,8}){0,3}")
# Plain HTTP is accepted to this machine alone: anywhere else, the token could be read on the way.
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class LivePoint(Record, frozen=True):
    """Grid intensity (gCO2e/kWh) of a zone in the hour that starts at ``start`` (UTC).

    ``estimated``: the service estimated it because measurements were missing (None if it does not
    say, as in a forecast). ``kind`` says which emissions count, None if the service does not say.
    """

    zone: str
    start: datetime
    g_per_kwh: float
    estimated: bool | None = None
    method: str | None = None
    kind: Literal["lifecycle", "direct"] | None = None


class LiveIntensity(Protocol):
    """A service with live grid intensities. Every method raises CarbonError."""

    def latest(self, zone: str) -> LivePoint:
        """The latest hour."""
        ...

    def history(self, zone: str) -> list[LivePoint]:
        """The last 24 hours, oldest first."""
        ...

    def forecast(self, zone: str) -> list[LivePoint]:
        """The coming hours, soonest first."""
        ...


# --- the service's responses, as documented ------------------------------------------------


class _Point(msgspec.Struct, frozen=True, rename="camel"):
    carbon_intensity: float | None
    datetime: datetime
    zone: str | None = None
    emission_factor_type: Literal["lifecycle", "direct"] | None = None
    is_estimated: bool | None = None
    estimation_method: str | None = None


class _History(msgspec.Struct, frozen=True):
    zone: str
    history: list[_Point]


class _Forecast(msgspec.Struct, frozen=True):
    zone: str
    forecast: list[_Point]


_Answer = TypeVar("_Answer", _Point, _History, _Forecast)


class ElectricityMaps:
    """Electricity Maps over HTTPS: one request per call, no redirects, limited in time and size."""

    def __init__(self, token: str, base_url: str = BASE_URL, timeout_s: float = TIMEOUT_S) -> None:
        """A client for ``token``.

        Raises:
            CarbonError: the token is malformed, or the URL is neither https nor this machine.
        """
        from urllib.parse import urlsplit

        # A line break in it would end its header, and what follows would be a header of its own.
        if not re.fullmatch(r"[!-~]{1,200}", token):
            raise CarbonError(
                f"{TOKEN_VARIABLE} is not a token: tokens are plain text without spaces"
            )
        parts = urlsplit(base_url)
        local = parts.scheme == "http" and parts.hostname in _LOOPBACK
        if not (parts.hostname and (parts.scheme == "https" or local)):
            raise CarbonError(f"{base_url!r} is not an https URL: the token is only sent over TLS")
        self._token = token
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s

    def latest(self, zone: str) -> LivePoint:
        """The latest hour: ``/v3/carbon-intensity/latest``."""
        point = self._ask("latest", zone, _Point)
        _same_zone(zone, point.zone)
        return _live(zone, point)

    def history(self, zone: str) -> list[LivePoint]:
        """The last 24 hours, oldest first: ``/v3/carbon-intensity/history``. Hours without a
        figure are left out."""
        answer = self._ask("history", zone, _History)
        _same_zone(zone, answer.zone)
        return _known(zone, answer.history)

    def forecast(self, zone: str) -> list[LivePoint]:
        """The coming hours, soonest first: ``/v3/carbon-intensity/forecast``. Hours without a
        figure are left out."""
        answer = self._ask("forecast", zone, _Forecast)
        _same_zone(zone, answer.zone)
        return _known(zone, answer.forecast)

    def _ask(self, what: str, zone: str, answer: type[_Answer]) -> _Answer:
        content = self._get(f"/v3/carbon-intensity/{what}", zone)
        try:
            return msgspec.json.decode(content, type=answer)
        # RecursionError: the decoder also descends into keys that it skips.
        except (msgspec.DecodeError, RecursionError) as error:
            raise CarbonError(
                f"Electricity Maps' answer ({what} of {zone}) cannot be read: {error}"
            ) from error

    def _get(self, path: str, zone: str) -> bytes:
        from http.client import HTTPException
        from urllib.error import HTTPError
        from urllib.parse import urlencode
        from urllib.request import Request

        from permille.deadline import open_url

        request = Request(
            f"{self._base_url}{path}?{urlencode({'zone': zone})}",
            headers={"auth-token": self._token, "Accept": "application/json"},
        )
        try:
            with open_url(request, self._timeout_s, _no_redirects()) as response:
                return _bounded(response)
        # Before OSError, because HTTPError is a subclass of it.
        except HTTPError as error:
            with error:  # it holds the connection
                raise CarbonError(_refusal(error.code, zone)) from error
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise CarbonError(
                f"Electricity Maps cannot be reached: {reason}; try again, or use --region"
            ) from error


def _no_redirects() -> BaseHandler:
    from urllib.request import HTTPRedirectHandler

    class NoRedirects(HTTPRedirectHandler):
        """A redirect would send the token to another host, so it is an error."""

        def redirect_request(self, *_: object, **__: object) -> None:
            return None

    return NoRedirects()


def _bounded(response: HTTPResponse) -> bytes:
    # One byte more than allowed shows that there are too many.
    content = response.read(LARGEST_RESPONSE + 1)
    if len(content) > LARGEST_RESPONSE:
        raise CarbonError(f"Electricity Maps' answer is over {LARGEST_RESPONSE} bytes")
    return content


def _refusal(status: int, zone: str) -> str:
    known = {
        401: f"the token was not accepted; check {TOKEN_VARIABLE}",
        403: f"the token's plan does not cover {zone} or this kind of figure",
        404: f"there is no zone {zone}, or no figure for it; see: permille regions",
        429: "too many requests for the token's plan; wait, or use --region",
    }
    return f"Electricity Maps answered {status}: {known.get(status, 'try again, or use --region')}"


def _same_zone(requested: str, answered: str | None) -> None:
    if answered != requested:
        raise CarbonError(
            f"Electricity Maps was queried for {requested} and answered for {answered!r}"
        )


def _live(zone: str, point: _Point) -> LivePoint:
    value = point.carbon_intensity
    # 0 is a figure: a grid may emit nothing for an hour.
    if value is None:
        raise CarbonError(f"Electricity Maps has no figure of {zone} for this hour; use --region")
    if not (math.isfinite(value) and value >= 0):
        raise CarbonError(f"Electricity Maps' figure of {zone} is not an intensity: {value!r}")
    if point.datetime.tzinfo is None:
        raise CarbonError(f"Electricity Maps' figure of {zone} has a time without a time zone")
    try:
        start = point.datetime.astimezone(UTC)
    except OverflowError as error:  # in UTC, it is before the year 1 or after the year 9999
        raise CarbonError(f"Electricity Maps' figure of {zone} has an impossible time") from error
    return LivePoint(
        zone=zone,
        start=start,
        g_per_kwh=value,
        estimated=point.is_estimated,
        method=point.estimation_method,
        kind=point.emission_factor_type,
    )


def _known(zone: str, points: list[_Point]) -> list[LivePoint]:
    live = [_live(zone, point) for point in points if point.carbon_intensity is not None]
    return sorted(live, key=lambda point: point.start)


# --- settings from a live figure ------------------------------------------------------------


def client_from_environment() -> ElectricityMaps:
    """The client for the token in the environment.

    Raises:
        CarbonError: there is no token.
    """
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise CarbonError(
            f"live intensity needs an Electricity Maps token in {TOKEN_VARIABLE}; "
            "without one, use --region"
        )
    return ElectricityMaps(token, os.environ.get(URL_VARIABLE) or BASE_URL)


def zone_of(text: str) -> str:
    """Electricity Maps' zone for a region as people write it: France, FRA and FR are ``FR``.

    Raises:
        CarbonError: it is not a zone. A zone missing from the table is passed on unchanged.
    """
    try:
        place = find(text)
    except CarbonError:
        # The service has more zones than the table, which has those that no other source covers.
        if _ZONE.fullmatch(text.strip().upper()):
            return text.strip().upper()
        raise
    if place.kind == "country" and place.alpha2:
        return place.alpha2
    # China's provinces are in the table by its ministry, and not as zones of Electricity Maps.
    if place.kind == "zone" or (place.kind == "province" and place.parent != "CHN"):
        return place.code
    raise CarbonError(
        f"{place.code} is not a zone of Electricity Maps; give one, such as FR or US-CAL-CISO"
    )


def resolve_live(
    region: str,
    pue: float | None = None,
    market_intensity: float | None = None,
    client: LiveIntensity | None = None,
) -> CarbonSettings:
    """The settings with the latest hour of a zone's grid; for the rest see
    :func:`permille.carbon.settings.resolve`. The default client is Electricity Maps with the token
    from the environment.

    Raises:
        CarbonError: no token, no such zone, or no valid response from the service.
    """
    zone = zone_of(region)
    point = (client or client_from_environment()).latest(zone)
    counted = point.kind or "unstated kind of"
    notes = [f"{counted} emissions in the hour from {point.start:%Y-%m-%d %H:%M} UTC"]
    if point.estimated:
        method = f" ({point.method})" if point.method else ""
        notes.append(f"estimated by Electricity Maps{method}, not measured")
    base = resolve(None, point.g_per_kwh, None, pue, market_intensity)
    return msgspec.structs.replace(
        base,
        region=zone,
        name=zone,
        source="Electricity Maps, latest hour",
        kind="live",
        licence="by the terms of the token's plan",
        note="; ".join(notes),
        attribution="Electricity Maps",
        timestamp=point.start.isoformat().replace("+00:00", "Z"),
        estimated=point.estimated,
    )
