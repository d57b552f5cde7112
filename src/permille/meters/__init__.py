"""Meters: what can be read for energy or power. One module a meter, each a plug-in.

A meter is opened by a factory registered under the entry-point group ``permille.meters``; the
built-in ones are registered that way too. The factory raises :class:`MeterUnavailable` when
there is nothing for it to read here, with the reason and how to unlock it. An open meter never
guesses: a domain that could not be read answers with ``error`` set and no figure.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from permille.errors import MeterError
from permille.records import Domain


class MeterUnavailable(MeterError):
    """Nothing to read here. ``reason`` says why, ``remedy`` how to unlock it ("" if nothing can).

    ``forbidden`` is true where the hardware is there and only the permission is missing;
    ``present`` where something is there that could not be used, for this or another reason: what
    is then not measured is said beside every figure.
    """

    def __init__(
        self, reason: str, remedy: str = "", *, forbidden: bool = False, present: bool = False
    ) -> None:
        super().__init__(f"{reason}; {remedy}" if remedy else reason)
        self.reason = reason
        self.remedy = remedy
        self.forbidden = forbidden
        self.present = present or forbidden


class Reading(NamedTuple):
    """One domain read once, at ``t_ns`` (CLOCK_MONOTONIC).

    Exactly one of the last three is set: ``energy_j``, a cumulative counter in joules that may
    wrap at the domain's ``wrap_j``; ``power_w``, for a meter without a counter, which the
    recorder integrates; ``error``, the reason that there is no figure.
    """

    domain: str
    t_ns: int
    energy_j: float | None = None
    power_w: float | None = None
    error: str | None = None


class Observation(NamedTuple):
    """What a meter sees beside energy, asked about once a second.

    ``used``: the domains whose device the given processes are running on; None where the meter
    cannot tell or where all its domains are always in use. ``notices``: (domain or None, text),
    such as throttling or another tenant. ``identity``: changes when the counters' origin may
    have changed (a reboot, a driver reloaded), which voids what spans it.
    """

    used: frozenset[str] | None = None
    notices: tuple[tuple[str | None, str], ...] = ()
    identity: str = ""


class Meter(Protocol):
    """An open meter.

    One that has ``looks_at_pids = False`` is not told of the workload's processes, which spares
    the recorder the listing of them.
    """

    name: str
    domains: tuple[Domain, ...]
    max_interval_s: float
    """Greatest time between two polls for which nothing can be lost (a wrap); inf if none."""
    slow: bool
    """True for a meter that may block (a network): the recorder polls it in a thread."""

    def read(self) -> list[Reading]:
        """Every domain now, one reading each. Never raises for a meter that is gone."""
        ...

    def observe(self, pids: frozenset[int]) -> Observation:
        """What there is to say beside energy; ``pids`` are the workload's processes."""
        ...

    def close(self) -> None:
        """Give back what is held. May be called twice."""
        ...


class OpenMeter(Protocol):
    """The factory that a plug-in registers."""

    def __call__(self) -> Meter:
        """An open meter.

        Raises:
            MeterUnavailable: there is nothing to read here.
        """
        ...
