"""RAPL through Linux powercap: processor packages, their memory, the platform. Intel and AMD.

The counters are cumulative microjoules that step about every millisecond and wrap at
``max_energy_range_uj``. They are kept open and read with one ``pread``; before each read the
path is checked again, so that a vanished or replaced counter is noticed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from permille.meters import Meter, MeterUnavailable, Observation, Reading
from permille.meters.dated import dated
from permille.meters.processor import CPUINFO, Processor, read_processor
from permille.meters.rapl.counter import EnergyCounter
from permille.meters.rapl.facts import accuracy, max_power_w
from permille.meters.rapl.mirrors import is_mirror
from permille.meters.rapl.zones import (
    Zone,
    dangling_links,
    find_folders,
    find_zones,
    nameless_zones,
    read_line,
    without_mirrors,
)
from permille.meters.ticks import measure_ticks
from permille.meters.unread import Unread, unread
from permille.records.recording import Domain, DomainKind, Provenance

ROOT = Path("/sys/class/powercap")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# The recorder polls no faster (recorder.poller.SHORTEST_POLL_S).
LEAST_INTERVAL_S = 0.005
WATCH_S = 0.2
# A tick is known to about this, which is a twentieth of the usual one of 1 ms.
PAUSE_S = 0.00005
LATE_NS = 500_000
"""A reading that takes this long (0.5 ms, some ten times as long as usual) is repeated."""

REMEDY = (
    "let a group read the counters: put `z /sys/class/powercap/intel-rapl*/energy_uj 0440 root "
    "power` in /etc/tmpfiles.d/permille.conf, run `sudo systemd-tmpfiles --create` and join the "
    "group power; or give the process CAP_DAC_READ_SEARCH (docs/meters.md)"
)


class _Problem(NamedTuple):
    """A zone that cannot be used: its domain, or its folder if its name is unknown, and its kind if
    known."""

    name: str
    kind: DomainKind | None
    error: OSError | str


MOUNT = "in a container mount /sys/devices/virtual/powercap too, read-only"


def open_meter(root: Path | None = None, cpuinfo: Path = CPUINFO, boot_id: Path = BOOT_ID) -> Meter:
    """The RAPL counters in ``root``, by default PERMILLE_POWERCAP or the system's.

    Watches them for up to 0.2 s to measure their tick.

    Raises:
        MeterUnavailable: there is no zone, or none that may be read.
    """
    root = root or Path(os.environ.get("PERMILLE_POWERCAP") or ROOT)
    zones, dangling = find_zones(root), dangling_links(root)
    if not zones:
        raise _nothing(root, dangling)
    processor = read_processor(cpuinfo)
    counters, problems = _open_counters(zones, processor)
    problems += [
        _Problem(folder, _kind_of(folder), f"its link leads nowhere; {MOUNT}")
        for folder in dangling
    ]
    problems += [
        _Problem(folder, _kind_of(folder), error) for folder, error in nameless_zones(root)
    ]
    if not counters:
        raise _unavailable(problems)
    # The same looks show the ticks and which zones are one register: 0.2 s once, not twice.
    looks: list[list[float | None]] = []

    def look() -> list[float | None]:
        looks.append([counter.read()[0] for counter in counters.values()])
        return looks[-1]

    ticks = measure_ticks(look, WATCH_S, PAUSE_S)
    for counter, tick_s in zip(counters.values(), ticks, strict=True):
        counter.domain = _with_tick(counter.domain, tick_s)
    seen = dict(zip(counters, zip(*looks, strict=True), strict=True))
    kept = without_mirrors(list(counters), _mirrors(counters, seen, processor))
    for zone in counters.keys() - kept:
        counters.pop(zone).close()
    read = {zone.kind for zone in counters}
    # Where nothing of a kind can be read, an estimate may stand in for all of it. Where some of it
    # can, the rest is missing from every sum of that kind.
    lost = [
        unread("rapl", p.name, p.kind, _in_words(p.error))
        for p in problems
        if p.kind is not None and p.kind in read
    ]
    notices = tuple(f"{p.name}: {p.error}" for p in problems if p.kind not in read)
    return RaplMeter(list(counters.values()), lost, boot_id, notices)


class RaplMeter:
    """The open counters of one powercap tree."""

    name = "rapl"
    slow = False
    looks_at_pids = False

    def __init__(
        self,
        counters: list[EnergyCounter],
        lost: list[Unread],
        boot_id: Path,
        notices: tuple[str, ...],
    ) -> None:
        self._counters = counters
        self._lost = lost
        self._boot_id = boot_id
        self._notices = tuple((None, notice) for notice in notices)
        readable = tuple(counter.domain for counter in counters)
        self.domains = (*readable, *(one.domain for one in lost))
        self.max_interval_s = min(map(_longest_interval_s, readable))

    def read(self) -> list[Reading]:
        """Read every counter; unreadable domains get an error."""
        readings = [one.reading() for one in self._lost]
        for counter in self._counters:
            t_ns, (energy_j, error) = dated(counter.read, LATE_NS)
            readings.append(Reading(counter.domain.name, t_ns, energy_j=energy_j, error=error))
        return readings

    def observe(self, pids: frozenset[int]) -> Observation:
        """Identity: the boot, and the zones' folders, which a reloaded driver recreates."""
        del pids  # a package serves every process
        try:
            parts = [read_line(self._boot_id)]
        except OSError:
            parts = ["unknown boot"]
        parts += [counter.identity() for counter in self._counters]
        return Observation(notices=self._notices, identity=" ".join(parts))

    def close(self) -> None:
        """Close the counters' files."""
        for counter in self._counters:
            counter.close()


def _open_counters(
    zones: Sequence[Zone], processor: Processor
) -> tuple[dict[Zone, EnergyCounter], list[_Problem]]:
    counters: dict[Zone, EnergyCounter] = {}
    problems: list[_Problem] = []
    for zone in zones:
        try:
            range_text = read_line(zone.path / "max_energy_range_uj")
            if not (range_text.isdigit() and int(range_text) > 0):
                error = f"its range reads {range_text!r}"
                problems.append(_Problem(zone.domain, zone.kind, error))
                continue
            domain = _domain(zone, int(range_text), processor)
            if _longest_interval_s(domain) < LEAST_INTERVAL_S:
                error = "it could wrap within 5 ms: too fast to follow"
                problems.append(_Problem(zone.domain, zone.kind, error))
                continue
            counter = EnergyCounter(domain, zone.path.resolve() / "energy_uj", int(range_text))
            counter.open()
        except OSError as failed:
            problems.append(_Problem(zone.domain, zone.kind, failed))
        else:
            counters[zone] = counter
    return counters, problems


def _mirrors(
    counters: Mapping[Zone, EnergyCounter],
    seen: Mapping[Zone, Sequence[float | None]],
    processor: Processor,
) -> list[tuple[Zone, Zone]]:
    """Pairs of dies of one package, or of platform zones, that show one register (see
    ``mirrors``)."""
    pairs = []
    leads: dict[tuple[DomainKind, int | None], list[Zone]] = {}
    for zone in counters:
        # The memory of a die that is dropped goes with it (without_mirrors).
        if zone.kind == "dram" or (zone.kind == "cpu" and zone.die is None):
            continue
        before = leads.setdefault((zone.kind, zone.package), [])
        # With the first of each group only: what mirrors it mirrors the others, too.
        for lead in before:
            one = is_mirror(seen[lead], seen[zone], counters[lead].range_uj / 1e6)
            if one is None:  # neither moved while they were watched
                one = counters[lead].inode == counters[zone].inode or (
                    _says_one_register(zone, processor, seen[lead][-1], seen[zone][-1])
                )
            if one:
                pairs.append((lead, zone))
                break
        else:
            before.append(zone)
    return pairs


def _says_one_register(
    zone: Zone, processor: Processor, first_j: float | None, second_j: float | None
) -> bool:
    """Whether equal values of two counters that do not move show that they are the same: on AMD,
    whose register belongs to the package; for platform zones, unless neither has ever counted."""
    if first_j is None or first_j != second_j:
        return False
    return processor.vendor == "AuthenticAMD" if zone.kind == "cpu" else first_j > 0


def _domain(zone: Zone, range_uj: int, processor: Processor) -> Domain:
    bound, source = accuracy(zone.kind, processor)
    return Domain(
        name=zone.domain,
        kind=zone.kind,
        meter="rapl",
        provenance=Provenance.MEASURED,
        accuracy_low=bound,
        accuracy_high=bound,
        accuracy_source=source,
        # The file's last digit, or one count of the underlying 32-bit register.
        resolution_j=max(1e-6, range_uj / 1e6 / 2**32),
        wrap_j=range_uj / 1e6,
        max_power_w=max_power_w(zone.kind, zone.path),
        # Not the GPU: whether psys includes a discrete one depends on the manufacturer.
        covers=("cpu", "dram") if zone.kind == "node" else (),
        device="the platform (psys)" if zone.kind == "node" else processor.name or None,
    )


def _with_tick(domain: Domain, tick_s: float | None) -> Domain:
    import msgspec

    return msgspec.structs.replace(domain, tick_s=tick_s)


def _longest_interval_s(domain: Domain) -> float:
    """Half the shortest time in which the counter could wrap."""
    assert domain.wrap_j is not None
    assert domain.max_power_w is not None
    # Half, so that a poll that is late by nearly as much still leaves no doubt about wraps.
    return domain.wrap_j / domain.max_power_w / 2


def _nothing(root: Path, dangling: Sequence[str]) -> MeterUnavailable:
    """Why there is no zone in ``root``; each cause has its own remedy."""
    if dangling:
        return MeterUnavailable(
            f"RAPL is here, but its links under {root} lead nowhere ({', '.join(dangling[:4])})",
            MOUNT,
            present=True,
        )
    try:
        os.listdir(root)
    except PermissionError:
        return MeterUnavailable(f"{root} may not be listed by this user", REMEDY, forbidden=True)
    except NotADirectoryError:
        return MeterUnavailable(f"{root} is not a folder", "see PERMILLE_POWERCAP")
    except FileNotFoundError:
        # Without its usual folder the kernel has no powercap, as in most virtual machines: the last
        # message below is for them.
        if root != ROOT:
            return MeterUnavailable(f"no RAPL zones: there is no {root}", _WHERE)
    except OSError as error:
        return MeterUnavailable(f"{root} cannot be listed: {error.strerror}")
    zones = find_folders(root)
    if zones:
        return MeterUnavailable(
            f"RAPL is here, but no zone of {', '.join(sorted(zones)[:4])} under {root} is a"
            " package, memory or the platform that can be read",
            "see that their files `name` can be read",
            present=True,
        )
    return MeterUnavailable(
        f"no RAPL zones under {root}",
        "a virtual machine has none; on bare metal try `sudo modprobe intel_rapl_msr`",
    )


_WHERE = "PERMILLE_POWERCAP is set to this; without it, /sys/class/powercap is read"


def _kind_of(folder: str) -> DomainKind | None:
    """The assumed kind of a zone of which only the folder is known: at the top level a package,
    unless its interface repeats those of another."""
    return "cpu" if folder.count(":") == 1 and "-mmio" not in folder else None


def _is_forbidden(error: OSError | str) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM)


def _in_words(error: OSError | str) -> str:
    """Why one zone among others cannot be read, and the remedy."""
    if _is_forbidden(error):
        return f"RAPL: it may be read by root only; {REMEDY}"
    return (
        f"RAPL: it cannot be read: {error}; fix that, or measure the whole machine at a plug"
        " (docs/meters.md)"
    )


def _unavailable(problems: Sequence[_Problem]) -> MeterUnavailable:
    if any(_is_forbidden(problem.error) for problem in problems):
        return MeterUnavailable(
            "RAPL is here, but its counters may be read by root only", REMEDY, forbidden=True
        )
    said = "; ".join(f"{problem.name}: {problem.error}" for problem in problems)
    return MeterUnavailable(f"RAPL is here, but no counter can be used ({said})", present=True)
