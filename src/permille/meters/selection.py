"""Select the meters to use: the named ones, or all available ones.

A measurement is always preferred to an estimate: ``estimate`` is opened only for what no other
meter covers, and not at all next to a meter of the processor or the whole machine, unless it was
named. ``wall`` and ``replay`` must be configured; a replay is never mixed with live meters unless
both were named.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import NamedTuple

from permille import plugins
from permille.errors import UsageError
from permille.meters import Meter, MeterUnavailable, OpenMeter
from permille.meters.estimate.meter import EstimateMeter
from permille.records.recording import DomainKind

VARIABLE = "PERMILLE_METERS"


class Unavailable(NamedTuple):
    """A meter that could not be opened, the reason, and the remedy ("" if there is none). For the
    rest see :class:`~permille.meters.MeterUnavailable`."""

    name: str
    reason: str
    remedy: str = ""
    forbidden: bool = False
    present: bool = False


class OpenedMeters(NamedTuple):
    """The open meters, and those that could not be opened. Without any meter: exit code 3."""

    meters: tuple[Meter, ...]
    unavailable: tuple[Unavailable, ...]

    def close(self) -> None:
        """Close every meter."""
        for meter in self.meters:
            meter.close()


def open_all(wanted: Sequence[str] | None = None) -> OpenedMeters:
    """Open the meters named in ``wanted`` or PERMILLE_METERS, by default all available ones.

    Raises:
        UsageError: a name is unknown, or a meter is configured wrongly.
    """
    names = list(wanted) if wanted is not None else _named_in_environment()
    # Each name once: a second opening would be refused, because the first provides its domains.
    chosen = _default_names() if names is None else list(dict.fromkeys(names))
    known = plugins.names("meters")
    for name in chosen:
        if name not in known:
            plugins.load("meters", name, UsageError)  # raises an error that suggests a name
    meters: list[Meter] = []
    unavailable: list[Unavailable] = []
    with contextlib.ExitStack() as undo:
        undo.callback(_close_all, meters)
        # The estimate last: what it may fill in depends on what all others provide.
        for name in sorted(chosen, key=lambda name: name == "estimate"):
            if name == "estimate" and names is None and has_processor(meters):
                continue
            _open_one(name, meters, unavailable)
        undo.pop_all()
    return OpenedMeters(tuple(meters), tuple(unavailable))


def _close_all(meters: Sequence[Meter]) -> None:
    for meter in meters:
        meter.close()


def try_open(name: str) -> Meter | Unavailable:
    """The open meter, or why it cannot be opened.

    Raises:
        UsageError: the name is unknown, or the meter is configured wrongly.
    """
    try:
        factory: OpenMeter = plugins.load("meters", name, UsageError)
        return factory()
    except MeterUnavailable as error:
        return Unavailable(name, error.reason, error.remedy, error.forbidden, error.present)
    except ImportError as error:
        return Unavailable(name, f"its module cannot be imported: {error}")


def covered_kinds(meters: Sequence[Meter]) -> frozenset[DomainKind]:
    """The kinds of domain whose energy these meters provide."""
    domains = [domain for meter in meters for domain in meter.domains]
    return frozenset(
        {domain.kind for domain in domains} | {kind for d in domains for kind in d.covers}
    )


def has_processor(meters: Sequence[Meter]) -> bool:
    """Whether one of them provides the energy of the processor or of the whole machine."""
    return bool(covered_kinds(meters) & {"cpu", "node"})


def _open_one(name: str, meters: list[Meter], unavailable: list[Unavailable]) -> None:
    meter = try_open(name)
    if isinstance(meter, Unavailable):
        unavailable.append(meter)
        return
    if isinstance(meter, EstimateMeter):
        covered = covered_kinds(meters)
        # The whole machine's energy includes everything that could be estimated.
        kinds: frozenset[DomainKind] = frozenset({"cpu", "dram"})
        meter.only(frozenset() if "node" in covered else kinds - covered)
        if not meter.domains:
            meter.close()
            unavailable.append(Unavailable(name, "everything that it could estimate is measured"))
            return
    # The recorder has one series for each name, in which the readings of two meters would be mixed.
    taken = {domain.name: other.name for other in meters for domain in other.domains}
    for domain in meter.domains:
        if domain.name in taken:
            meter.close()
            reason = f"{domain.name} is already provided by {taken[domain.name]}"
            remedy = f"name one of them in {VARIABLE}"
            unavailable.append(Unavailable(name, reason, remedy, present=True))
            return
    meters.append(meter)


def _named_in_environment() -> list[str] | None:
    text = os.environ.get(VARIABLE, "")
    names = [name.strip() for name in text.split(",") if name.strip()]
    if text and not names:
        raise UsageError(f"{VARIABLE}={text!r} names no meter; list some, or unset it")
    return names or None


def _default_names() -> list[str]:
    if os.environ.get("PERMILLE_REPLAY"):
        return ["replay"]
    left_out = {"replay"} | (set() if os.environ.get("PERMILLE_WALL") else {"wall"})
    return [name for name in plugins.names("meters") if name not in left_out]
