"""Parse PERMILLE_WALL: a device's kind, its address, and the number in its answer to use.

    shelly+http://HOST                     Shelly Gen2 and later, Switch.GetStatus
    tasmota+http://HOST                    Tasmota, Status 8
    redfish+https://USER:PASSWORD@HOST/redfish/v1/Chassis/1/Power
    http://HOST/any/path#power_w=a.b.0.c   any JSON: power_w, energy_wh, energy_kwh or energy_j

After ``#``, joined by ``&``: ``quantity=energy`` (Shelly, Tasmota: the counter rather than the
power), ``id=N`` (Shelly: the switch), ``accuracy=0.01`` (relative, from your device's data sheet),
``tick=SECONDS`` (the time between updates), ``verify=no`` (a BMC's self-signed certificate).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from permille.errors import UsageError
from permille.suggestions import nearest

VARIABLE = "PERMILLE_WALL"
_UNITS = {"power_w": 1.0, "energy_j": 1.0, "energy_wh": 3600.0, "energy_kwh": 3.6e6}


class Kind(NamedTuple):
    """The answers of a kind of device. Paths into their JSON are joined by dots."""

    path: str
    power: tuple[str, str]  # (unit, JSON path)
    energy: tuple[str, str] | None
    accuracy: float
    max_power_w: float


KINDS = {
    # shelly-api-docs.shelly.cloud/gen2/ComponentsAndServices/Switch, Switch.GetStatus
    "shelly": Kind(
        "/rpc/Switch.GetStatus?id={id}",
        ("power_w", "apower"),
        ("energy_wh", "aenergy.total"),
        0.03,
        4000.0,
    ),
    # tasmota.github.io/docs/Commands, Status 8; kWh
    "tasmota": Kind(
        "/cm?cmnd=Status%208",
        ("power_w", "StatusSNS.ENERGY.Power"),
        ("energy_kwh", "StatusSNS.ENERGY.Total"),
        0.05,
        4000.0,
    ),
    # DMTF DSP2046, Power: PowerControl[0].PowerConsumedWatts
    "redfish": Kind(
        "/redfish/v1/Chassis/1/Power",
        ("power_w", "PowerControl.0.PowerConsumedWatts"),
        None,
        0.05,
        20_000.0,
    ),
}
_REDFISH_METRICS = ("power_w", "PowerWatts.Reading")
"""DMTF DSP0268, EnvironmentMetrics, which replaces Power."""


class WallSource(NamedTuple):
    """The address of the device, and the value to use from its answer."""

    kind: str
    secure: bool
    host: str
    port: int
    target: str
    user: str | None
    password: str | None
    verify: bool
    unit: str
    json_path: tuple[str, ...]
    accuracy: float
    stated: bool
    tick_s: float
    max_power_w: float

    @property
    def is_power(self) -> bool:
        """Whether the number is a power, not an energy."""
        return self.unit == "power_w"

    @property
    def scale(self) -> float:
        """Watts or joules of one unit."""
        return _UNITS[self.unit]

    @property
    def where(self) -> str:
        """The device, without its password."""
        return f"{self.kind} at {self.host}:{self.port}"


def parse_source(text: str) -> WallSource:
    """Parse ``text``, the value of PERMILLE_WALL.

    Raises:
        UsageError: it is malformed; the message does not contain the password.
    """
    parts, host, port = _split(text)
    kind, secure = _kind(parts.scheme)
    # Blank values, too: an option without a value must not be ignored.
    options = dict(parse_qsl(parts.fragment, keep_blank_values=True))
    made = KINDS.get(kind)
    unit, path = _figure(made, options, parts.path)
    target = _target(made, options, parts)
    stated = "accuracy" in options
    accuracy = _positive(options, "accuracy", made.accuracy if made else 0.05)
    tick_s = _positive(options, "tick", 1.0)
    verify = _verify(options)
    if options:  # the known ones were removed above
        raise UsageError(f"{VARIABLE}: unknown option {next(iter(options))!r} after #")
    return WallSource(
        kind=kind or "device",
        secure=secure,
        host=host,
        port=port or (443 if secure else 80),
        target=target,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        verify=verify,
        unit=unit,
        json_path=tuple(path.split(".")),
        accuracy=accuracy,
        stated=stated,
        tick_s=tick_s,
        max_power_w=made.max_power_w if made else 20_000.0,
    )


def _split(text: str) -> tuple[SplitResult, str, int | None]:
    """The parts of an HTTP URL, its host and its port."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port  # urllib only checks it when it is accessed
    except ValueError as error:
        raise UsageError(f"{VARIABLE} is not a URL: {error}") from error
    if parts.scheme.rpartition("+")[2] not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{VARIABLE} is not a URL such as shelly+http://192.168.1.20")
    return parts, parts.hostname, port


def _kind(scheme: str) -> tuple[str, bool]:
    """(The kind of device, empty for any that answers in JSON; whether to use TLS)."""
    kind, plus, protocol = scheme.rpartition("+")
    if plus and kind not in KINDS:
        raise UsageError(f"{VARIABLE}: unknown kind of device {kind!r}; {nearest(kind, KINDS)}")
    return kind, protocol == "https"


def _target(made: Kind | None, options: dict[str, str], parts: SplitResult) -> str:
    """The path of the request: the given one, or the default of its kind."""
    number = options.pop("id", "0")
    if not number.isdecimal():
        raise UsageError(f"{VARIABLE}: id={number!r} is not a switch's number")
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    if made is not None and target in ("", "/"):
        return made.path.format(id=number)
    return target or "/"


def _verify(options: dict[str, str]) -> bool:
    """Whether to check the certificate; ``no`` is for BMCs with a self-signed one."""
    verify = options.pop("verify", "yes")
    if verify not in ("yes", "no"):
        raise UsageError(f"{VARIABLE}: verify must be yes or no")
    return verify == "yes"


def take(answer: Any, path: tuple[str, ...]) -> float:
    """The number at ``path`` in a decoded JSON document: names into objects, numbers into lists.

    Raises:
        ValueError: there is none, or it is negative or not finite.
    """
    here, value = "", answer
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise ValueError(f"the answer has no {part!r} in {here or 'it'!r}")
        here = f"{here}.{part}" if here else part
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{here!r} is not a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError(f"{here!r} is too large") from error
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{here!r} is {number:g}")
    return number


def _figure(made: Kind | None, options: dict[str, str], path: str) -> tuple[str, str]:
    given = [(unit, options.pop(unit)) for unit in _UNITS if unit in options]
    quantity = options.pop("quantity", None)
    if quantity not in (None, "power", "energy"):
        raise UsageError(f"{VARIABLE}: quantity must be power or energy, not {quantity!r}")
    if len(given) > 1 or (given and quantity):
        raise UsageError(f"{VARIABLE}: name one of {', '.join(_UNITS)} after #")
    if given:
        return given[0]
    if made is None:
        raise UsageError(
            f"{VARIABLE}: give the value's path in the answer after #, such as #power_w=a.b"
        )
    if quantity == "energy":
        if made.energy is None:
            raise UsageError(f"{VARIABLE}: this kind of device has no energy counter")
        return made.energy
    if path.rstrip("/").endswith("EnvironmentMetrics"):
        return _REDFISH_METRICS
    return made.power


def _positive(options: dict[str, str], name: str, default: float) -> float:
    text = options.pop(name, None)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{VARIABLE}: {name}={text!r} is not a positive number")
    return value
