"""An estimate for machines without a counter: CPU time times published watts, memory by size.

    cpu:0   idle_w * cpus * t + (full_w - idle_w) * busy_s
    dram:0  watts per GB * GB * t

``t`` runs on CLOCK_MONOTONIC from the moment the meter is opened. Provenance ``estimated``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from permille.meters import MeterUnavailable, Observation, Reading
from permille.meters.estimate.cpu_time import (
    CGROUP,
    SELF_CGROUP,
    STAT,
    CpuTime,
    of_cgroup,
    of_machine,
)
from permille.meters.estimate.watts import (
    DRAM_HIGH,
    DRAM_LOW,
    DRAM_SOURCE,
    DRAM_W_PER_GB,
    ThreadWatts,
    thread_watts,
)
from permille.meters.processor import CPUINFO, read_processor
from permille.records.recording import Domain, DomainKind, Provenance
from permille.units import format_share

MEMINFO = Path("/proc/meminfo")
HEADROOM = 2.0
"""The highest plausible power relative to full load: CPU time advances in ticks, some of them
late."""
STEAL_WORTH_SAYING = 0.01
"""The reported share of CPU time taken by the hypervisor between two checks."""


def open_meter(
    *,
    stat: Path = STAT,
    cgroup: Path = CGROUP,
    self_cgroup: Path = SELF_CGROUP,
    cpuinfo: Path = CPUINFO,
    meminfo: Path = MEMINFO,
    clock_ns: Callable[[], int] = time.monotonic_ns,
) -> EstimateMeter:
    """The estimate for this machine, or for this container if it has its own CPU limit.

    Raises:
        MeterUnavailable: CPU time cannot be read.
    """
    try:
        cpu_time = of_cgroup(cgroup, self_cgroup) or of_machine(stat)
        cpu_time.read()
    except (OSError, ValueError) as error:
        raise MeterUnavailable(f"CPU time cannot be read: {error}") from error
    watts = thread_watts(read_processor(cpuinfo))
    memory_bytes = _memory_bytes(meminfo)
    if cpu_time.memory_bytes is not None and memory_bytes is not None:
        # The least: a version 1 group without a limit states one of nearly 2**63 bytes.
        memory_bytes = min(memory_bytes, cpu_time.memory_bytes)
    return EstimateMeter(cpu_time, watts, memory_bytes, clock_ns)


class EstimateMeter:
    """The estimate. ``only`` drops domains whose energy another meter provides."""

    name = "estimate"
    slow = False
    looks_at_pids = False
    max_interval_s = math.inf

    def __init__(
        self,
        cpu_time: CpuTime,
        watts: ThreadWatts,
        memory_bytes: int | None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._cpu_time = cpu_time
        self._clock_ns = clock_ns
        self._origin_ns = clock_ns()
        self._idle_w = watts.idle_w * cpu_time.cpus
        self._extra_w = watts.full_w - watts.idle_w
        self._dram_w = DRAM_W_PER_GB * (memory_bytes or 0) / 1e9
        self._last: tuple[int, float] | None = None
        self.domains: tuple[Domain, ...] = (self._cpu_domain(watts),)
        if memory_bytes:
            self.domains += (self._dram_domain(memory_bytes),)

    def only(self, kinds: frozenset[DomainKind]) -> None:
        """Keep only the domains of these kinds."""
        self.domains = tuple(domain for domain in self.domains if domain.kind in kinds)

    def read(self) -> list[Reading]:
        """Every domain now."""
        t_ns = self._clock_ns()
        elapsed_s = (t_ns - self._origin_ns) / 1e9
        readings = []
        for domain in self.domains:
            if domain.kind == "dram":
                energy_j = self._dram_w * elapsed_s
                readings.append(Reading(domain.name, t_ns, energy_j=energy_j))
                continue
            try:
                used = self._cpu_time.read()
            except (OSError, ValueError) as error:
                said = f"CPU time cannot be read: {error}"
                readings.append(Reading(domain.name, t_ns, error=said))
                continue
            # The two terms count from different times (busy_s from the boot), which does not
            # matter: only differences become figures.
            energy_j = self._idle_w * elapsed_s + self._extra_w * used.busy_s
            readings.append(Reading(domain.name, t_ns, energy_j=energy_j))
        return readings

    def observe(self, pids: frozenset[int]) -> Observation:
        """Report steal time since the last check, if it is 1 % or more."""
        del pids  # the estimate covers the machine or container, whatever runs in it
        notices = [(None, text) for text in self._steal()]
        return Observation(notices=tuple(notices), identity=self._cpu_time.what)

    def close(self) -> None:
        """There is nothing to release."""

    def _steal(self) -> list[str]:
        try:
            steal_s = self._cpu_time.read().steal_s
        except (OSError, ValueError):
            return []  # read() reports the error with its domain
        if steal_s is None:
            return []
        now_ns, before = self._clock_ns(), self._last
        self._last = (now_ns, steal_s)
        if before is None or now_ns <= before[0]:
            return []
        share = (steal_s - before[1]) / ((now_ns - before[0]) / 1e9 * self._cpu_time.cpus)
        if share < STEAL_WORTH_SAYING:
            return []
        return [f"the hypervisor took {format_share(share)} of the CPU time (steal)"]

    def _cpu_domain(self, watts: ThreadWatts) -> Domain:
        return Domain(
            name="cpu:0",
            kind="cpu",
            meter="estimate",
            provenance=Provenance.ESTIMATED,
            accuracy_low=watts.accuracy_low,
            accuracy_high=watts.accuracy_high,
            accuracy_source=watts.source,
            resolution_j=self._extra_w * self._cpu_time.step_s,
            tick_s=self._cpu_time.step_s,
            max_power_w=HEADROOM * (self._idle_w + self._extra_w * self._cpu_time.cpus),
            device=f"CPU time of {self._cpu_time.what}",
            time_w=self._idle_w,
        )

    def _dram_domain(self, memory_bytes: int) -> Domain:
        return Domain(
            name="dram:0",
            kind="dram",
            meter="estimate",
            provenance=Provenance.ESTIMATED,
            accuracy_low=DRAM_LOW,
            accuracy_high=DRAM_HIGH,
            accuracy_source=DRAM_SOURCE,
            tick_s=0.0,  # computed for the time of the reading
            max_power_w=HEADROOM * self._dram_w,
            time_w=self._dram_w,
            device=f"{memory_bytes / 1e9:.3g} GB of memory",
        )


def _memory_bytes(meminfo: Path) -> int | None:
    """Bytes of memory, or None if unknown."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        if meminfo != MEMINFO:
            return None
        import psutil

        return int(psutil.virtual_memory().total)
    for line in lines:
        key, _, rest = line.partition(":")
        amount = rest.split()
        if key == "MemTotal" and len(amount) == 2 and amount[0].isdecimal():
            return int(amount[0]) * 1024
    return None
