"""Meters: sources of energy or power readings. Each meter is a module and a plug-in.

A meter is opened by a factory registered under the entry-point group ``permille.meters``; the
built-in ones are registered that way too. The factory raises :class:`MeterUnavailable` if
it cannot read anything on this machine, with the reason and the remedy. An open meter never
guesses: a domain that could not be read returns ``error`` and no figure.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from permille.errors import MeterError
from permille.records.recording import Domain


class MeterUnavailable(MeterError):
    """The meter cannot be used. ``reason`` says why, ``remedy`` how to unlock it ("" if
    impossible).

    ``forbidden`` is true if the hardware exists and only the permission is missing; ``present`` if
    the hardware exists but cannot be used, for this or another reason: every figure then states
    what is not measured.
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
    """One reading of one domain at ``t_ns`` (CLOCK_MONOTONIC).

    Exactly one of the last three is set: ``energy_j``, a cumulative counter in joules that may
    wrap at the domain's ``wrap_j``; ``power_w``, for a meter without a counter, which the
    recorder integrates; ``error``, the reason why there is no figure.
    """

    domain: str
    t_ns: int
    energy_j: float | None = None
    power_w: float | None = None
    error: str | None = None


class Observation(NamedTuple):
    """What a meter reports apart from energy, about once a second.

    ``used``: the domains on whose device the given processes run; None if the meter cannot tell or
    if all its domains are always in use. ``notices``: (domain or None, text), such as throttling or
    another tenant. ``identity``: changes if the counters' origin may have changed (a reboot, a
    reloaded driver), which voids any span across the change.
    """

    used: frozenset[str] | None = None
    notices: tuple[tuple[str | None, str], ...] = ()
    identity: str = ""


class Meter(Protocol):
    """An open meter.

    One with ``looks_at_pids = False`` does not get the workload's processes, which saves the
    recorder from listing them. One with ``cross_checks``, a tuple of domains, also returns readings
    of these: second readings of hardware that it measures (see :attr:`Domain.checks`).
    """

    name: str
    domains: tuple[Domain, ...]
    max_interval_s: float
    """The longest time between two polls without losing a wrap; inf if there are none."""
    slow: bool
    """True if the meter may block (on a network): the recorder then polls it in a thread."""

    def read(self) -> list[Reading]:
        """One reading per domain. Never raises if the meter has vanished."""
        ...

    def observe(self, pids: frozenset[int]) -> Observation:
        """The status apart from energy; ``pids`` are the workload's processes."""
        ...

    def close(self) -> None:
        """Release its resources. May be called twice."""
        ...


class OpenMeter(Protocol):
    """The protocol of the factory that a plug-in registers."""

    def __call__(self) -> Meter:
        """Open the meter.

        Raises:
            MeterUnavailable: it cannot be used on this machine.
        """
        ...
