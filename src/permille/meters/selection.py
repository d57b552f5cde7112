"""Which meters are used: those that were named, or all that are here.

A measurement always comes before an estimate: ``estimate`` is opened only for what no other
meter covers, and not at all beside one that has the processor or the whole machine, unless it was
named. ``wall`` and ``replay`` have to be configured; a replay is never mixed with live meters
unless both were named.
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
from permille.records import DomainKind

VARIABLE = "PERMILLE_METERS"


class Unavailable(NamedTuple):
    """A meter that could not be opened, why, and how to unlock it ("" if nothing can). The rest
    is as in :class:`~permille.meters.MeterUnavailable`."""

    name: str
    reason: str
    remedy: str = ""
    forbidden: bool = False
    present: bool = False


class OpenedMeters(NamedTuple):
    """The meters to use, open, and those that were tried in vain. No meters: exit code 3."""

    meters: tuple[Meter, ...]
    unavailable: tuple[Unavailable, ...]

    def close(self) -> None:
        """Close every meter."""
        for meter in self.meters:
            meter.close()


def open_all(wanted: Sequence[str] | None = None) -> OpenedMeters:
    """Open the meters named in ``wanted``, else in PERMILLE_METERS, else all that are here.

    Raises:
        UsageError: there is no meter of such a name, or one is configured wrongly.
    """
    names = list(wanted) if wanted is not None else _named_in_environment()
    chosen = _default_names() if names is None else list(dict.fromkeys(names))
    known = plugins.names("meters")
    for name in chosen:
        if name not in known:
            plugins.load("meters", name, UsageError)  # raises, naming the nearest
    meters: list[Meter] = []
    unavailable: list[Unavailable] = []
    with contextlib.ExitStack() as undo:
        undo.callback(_close_all, meters)
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
    """The meter, open, or why it cannot be.

    Raises:
        UsageError: there is none of this name, or it is configured wrongly.
    """
    try:
        factory: OpenMeter = plugins.load("meters", name, UsageError)
        return factory()
    except MeterUnavailable as error:
        return Unavailable(name, error.reason, error.remedy, error.forbidden, error.present)
    except ImportError as error:
        return Unavailable(name, f"its module cannot be imported: {error}")


def covered_kinds(meters: Sequence[Meter]) -> frozenset[DomainKind]:
    """The kinds of domain whose energy these meters have."""
    domains = [domain for meter in meters for domain in meter.domains]
    return frozenset(
        {domain.kind for domain in domains} | {kind for d in domains for kind in d.covers}
    )


def has_processor(meters: Sequence[Meter]) -> bool:
    """Whether one of them has the processor's energy, or the whole machine's."""
    return bool(covered_kinds(meters) & {"cpu", "node"})


def _open_one(name: str, meters: list[Meter], unavailable: list[Unavailable]) -> None:
    meter = try_open(name)
    if isinstance(meter, Unavailable):
        unavailable.append(meter)
        return
    if isinstance(meter, EstimateMeter):
        covered = covered_kinds(meters)
        # The whole machine's energy holds whatever could be estimated.
        kinds: frozenset[DomainKind] = frozenset({"cpu", "dram"})
        meter.only(frozenset() if "node" in covered else kinds - covered)
        if not meter.domains:
            meter.close()
            unavailable.append(Unavailable(name, "all it could estimate is measured"))
            return
    taken = {domain.name: other.name for other in meters for domain in other.domains}
    for domain in meter.domains:
        if domain.name in taken:
            meter.close()
            reason = f"{taken[domain.name]} has {domain.name} already"
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
