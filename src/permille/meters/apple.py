"""Apple silicon through ``zeus-apple-silicon``: processor, memory, GPU and Neural Engine.

macOS has cumulative energy counters ("Energy Model") that need no administrator. Apple says that
they are estimated and may be inaccurate (powermetrics(1)), so their provenance is ``modelled``.
"""

from __future__ import annotations

import math
import platform
import subprocess
import time
from typing import Any, NamedTuple

from permille.meters import MeterUnavailable, Observation, Reading
from permille.meters.dated import SLOW_LATE_NS, dated
from permille.meters.ticks import measure_ticks
from permille.meters.unread import Unread, unread
from permille.records.recording import Domain, DomainKind, Provenance

WATCH_S = 0.3
PAUSE_S = 0.002
ACCURACY = 0.25
SOURCE = "Apple's energy model, which it calls estimated (powermetrics(1)); taken as ±25 %"


class ApplePart(NamedTuple):
    """A part of the chip: the fields (millijoules) whose sum is its energy."""

    domain: str
    kind: DomainKind
    fields: tuple[str, ...]
    max_power_w: float


PARTS = (
    # The fields of single cores and clusters are left out: they are part of this total.
    ApplePart("cpu:0", "cpu", ("cpu_total_mj",), 500.0),
    ApplePart("dram:0", "dram", ("dram_mj",), 200.0),
    ApplePart("gpu:0", "gpu", ("gpu_mj", "gpu_sram_mj"), 500.0),
    ApplePart("ane:0", "other", ("ane_mj",), 200.0),
)
"""The highest plausible powers are well above the rating of a whole Mac Studio (480 W)."""

_CHIP = ("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string")
_ONE_DIE = (
    "Apple silicon: zeus-apple-silicon reads the processor of one of this chip's two dies only;"
    " measure the whole Mac at a plug (docs/meters.md)"
)


def open_meter() -> AppleMeter:
    """The counters of this Mac. Watches them for up to 0.3 s to measure their tick.

    Raises:
        MeterUnavailable: this is not a Mac with Apple silicon, or the package is not installed.
    """
    if platform.system() != "Darwin":
        raise MeterUnavailable("not a Mac")
    try:
        import zeus_apple_silicon
    except ImportError as error:
        raise MeterUnavailable(
            f"Apple silicon: {error}", "`pip install zeus-apple-silicon` (M1 and later)"
        ) from error
    try:
        monitor = zeus_apple_silicon.AppleEnergyMonitor()
        return AppleMeter(monitor, _chip())
    except RuntimeError as error:
        raise MeterUnavailable(f"Apple silicon: {error}") from error


class AppleMeter:
    """The parts of the chip that have counters."""

    name = "apple"
    slow = False
    looks_at_pids = False
    max_interval_s = math.inf

    def __init__(self, monitor: Any, chip: str = "") -> None:
        import msgspec

        self._monitor = monitor
        first = monitor.get_cumulative_energy()
        self._parts = [part for part in PARTS if _energy_j(first, part) is not None]
        self._lost: list[Unread] = []
        # Such a chip has two dies, with channels DIE_0_CPU Energy and DIE_1_CPU Energy in IOReport.
        # Of these zeus-apple-silicon 1.1.0 keeps the last (apple_energy.hpp, parse_sample), whereas
        # it adds up those of the memory and of the Neural Engine.
        if chip.endswith("Ultra"):
            self._parts = [part for part in self._parts if part.kind != "cpu"]
            self._lost.append(_lost_processor())
        if not self._parts:
            raise MeterUnavailable("Apple silicon: this chip's counters are unknown")
        ticks = measure_ticks(lambda: [r.energy_j for r in self._figures()], WATCH_S, PAUSE_S)
        readable = [
            msgspec.structs.replace(_domain(part), tick_s=tick_s)
            for part, tick_s in zip(self._parts, ticks, strict=True)
        ]
        self.domains = (*readable, *(one.domain for one in self._lost))

    def read(self) -> list[Reading]:
        """Read every part in one call."""
        return [*self._figures(), *(one.reading() for one in self._lost)]

    def _figures(self) -> list[Reading]:
        try:
            t_ns, metrics = dated(self._monitor.get_cumulative_energy, SLOW_LATE_NS)
        except RuntimeError as error:
            t_ns, said = time.monotonic_ns(), f"Apple silicon: {error}"
            return [Reading(part.domain, t_ns, error=said) for part in self._parts]
        readings = []
        for part in self._parts:
            energy_j = _energy_j(metrics, part)
            gone = None if energy_j is not None else "its counter has vanished"
            readings.append(Reading(part.domain, t_ns, energy_j=energy_j, error=gone))
        return readings

    def observe(self, pids: frozenset[int]) -> Observation:
        """There is no other status: one chip serves every process."""
        del pids
        return Observation(identity="apple")

    def close(self) -> None:
        """There is nothing to release."""


def _chip() -> str:
    """Such as ``Apple M2 Ultra``; empty if the system does not say."""
    try:
        asked = subprocess.run(_CHIP, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip()


def _lost_processor() -> Unread:
    import msgspec

    lost = unread("apple", "cpu:0", "cpu", _ONE_DIE)
    # Nothing of this meter is measured: see the module.
    modelled = msgspec.structs.replace(lost.domain, provenance=Provenance.MODELLED)
    return lost._replace(domain=modelled)


def _energy_j(metrics: Any, part: ApplePart) -> float | None:
    """Joules of a part; None if its first field is None. Further fields may be missing (M5)."""
    values = [getattr(metrics, field, None) for field in part.fields]
    if values[0] is None:
        return None
    return float(sum(value for value in values if value is not None)) / 1e3


def _domain(part: ApplePart) -> Domain:
    return Domain(
        name=part.domain,
        kind=part.kind,
        meter="apple",
        provenance=Provenance.MODELLED,
        accuracy_low=ACCURACY,
        accuracy_high=ACCURACY,
        accuracy_source=SOURCE,
        resolution_j=1e-3 * len(part.fields),
        max_power_w=part.max_power_w,
    )
