"""CPU time used: by the whole machine from /proc/stat, by a limited container from its cgroup.

Both hierarchies of cgroups are read: version 1 (``cpuacct.usage``, nanoseconds) and version 2
(``cpu.stat``, microseconds), the latter also where it is mounted at ``unified/``.
See the kernel's Documentation/filesystems/proc.rst and admin-guide/cgroup-v{1,2}.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

STAT = Path("/proc/stat")
CGROUP = Path("/sys/fs/cgroup")
SELF_CGROUP = Path("/proc/self/cgroup")


class Used(NamedTuple):
    """CPU seconds used since some origin, and steal time (None: unknown)."""

    busy_s: float
    steal_s: float | None


@dataclass(frozen=True)
class CpuTime:
    """A source of CPU time. ``read`` raises OSError or ValueError if it fails.

    ``cpus``: the number of usable CPUs (a container's quota may be a fraction). ``step_s``: the
    smallest step of the value. ``memory_bytes``: the container's limit, or None.
    """

    what: str
    cpus: float
    step_s: float
    read: Callable[[], Used]
    memory_bytes: int | None = None


def parse_stat(text: str, ticks_per_s: int) -> tuple[Used, int]:
    """(CPU time of the machine, its number of CPUs) from the text of /proc/stat.

    I/O wait counts as idle; steal time is not ours. Guests' time is included in ``user``.

    Raises:
        ValueError: it does not have the form of /proc/stat.
    """
    total: list[int] | None = None
    cpus = 0
    for line in text.splitlines():
        if not line.startswith("cpu"):
            continue  # the line with interrupts has thousands of fields
        # The name and the ten times of proc_stat(5), in case a later kernel adds more.
        name, *fields = line.split()[:11]
        if name == "cpu":
            total = [int(field) for field in fields]
        elif name[3:].isdigit():
            cpus += 1
    if total is None or len(total) < 7 or cpus == 0 or min(total) < 0:
        raise ValueError("no CPU times in it")
    user, nice, system, _idle, _iowait, irq, softirq = total[:7]
    steal_s = total[7] / ticks_per_s if len(total) > 7 else None
    return Used((user + nice + system + irq + softirq) / ticks_per_s, steal_s), cpus


def of_machine(stat: Path = STAT) -> CpuTime:
    """The whole machine's, from /proc/stat, or from psutil without /proc (macOS).

    Raises:
        OSError, ValueError: it cannot be read.
    """
    # A path that was given is never replaced by another source.
    if not stat.exists() and stat == STAT:
        return _of_psutil()
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    _, cpus = parse_stat(stat.read_text(), ticks_per_s)

    def read() -> Used:
        return parse_stat(stat.read_text(), ticks_per_s)[0]

    return CpuTime(f"{stat}, {cpus} CPUs", float(cpus), 1 / ticks_per_s, read)


def of_cgroup(root: Path = CGROUP, self_cgroup: Path = SELF_CGROUP) -> CpuTime | None:
    """That of this process's container, if it has its own CPU limit; otherwise None.

    Raises:
        OSError, ValueError: there is a limit, but the time used cannot be read.
    """
    groups = _groups(self_cgroup)
    for base in (root, root / "unified"):
        folder = _folder(base, groups.get(""), "cpu.max")
        quota = None if folder is None else _quota_v2(folder / "cpu.max")
        if folder is not None and quota is not None:
            return _limited_v2(folder, quota)
    cpu = _folder_v1(root, groups, "cpu", "cpu.cfs_quota_us")
    usage = _folder_v1(root, groups, "cpuacct", "cpuacct.usage")
    if cpu is None or usage is None:
        return None
    quota_us = int((cpu / "cpu.cfs_quota_us").read_text())
    period_us = int((cpu / "cpu.cfs_period_us").read_text())
    # A quota of -1 is no limit (kernel, scheduler/sched-bwc.rst).
    if quota_us <= 0 or period_us <= 0:
        return None
    memory = _folder_v1(root, groups, "memory", "memory.limit_in_bytes")
    file = usage / "cpuacct.usage"
    return CpuTime(
        what=f"{file}, limited to {quota_us / period_us:g} CPUs",
        cpus=quota_us / period_us,
        step_s=1 / os.sysconf("SC_CLK_TCK"),
        read=lambda: Used(_whole(file.read_text()) / 1e9, None),
        memory_bytes=_limit(memory, "memory.limit_in_bytes"),
    )


def parse_cpu_stat(text: str) -> float:
    """Seconds used, from the text of a version 2 ``cpu.stat``.

    Raises:
        ValueError: it has no ``usage_usec``.
    """
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == "usage_usec":
            return _whole(value) / 1e6
    raise ValueError("no usage_usec in it")


def _limited_v2(folder: Path, quota: float) -> CpuTime:
    file = folder / "cpu.stat"
    parse_cpu_stat(file.read_text())
    return CpuTime(
        what=f"{file}, limited to {quota:g} CPUs",
        cpus=quota,
        step_s=1 / os.sysconf("SC_CLK_TCK"),  # running tasks are accounted at the kernel's tick
        read=lambda: Used(parse_cpu_stat(file.read_text()), None),
        memory_bytes=_limit(folder, "memory.max"),
    )


def _quota_v2(path: Path) -> float | None:
    quota, _, period = path.read_text().strip().partition(" ")
    if quota == "max":
        return None
    if _whole(period) == 0 or _whole(quota) == 0:
        raise ValueError(f"{path} has no quota in it")
    return _whole(quota) / _whole(period)


def _groups(self_cgroup: Path) -> dict[str, str]:
    """Controller -> path of this process's group; "" is version 2's."""
    try:
        lines = self_cgroup.read_text().splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _folder(base: Path, group: str | None, needed: str) -> Path | None:
    # In a container the group's path is the host's and not visible; its root is mounted.
    inside = base / (group or "/").lstrip("/")
    # A group outside the namespace's root reads /../… (cgroup_namespaces(7)).
    for folder in (inside, base):
        if ".." not in folder.parts and (folder / needed).is_file():
            return folder
    return None


def _folder_v1(root: Path, groups: dict[str, str], controller: str, needed: str) -> Path | None:
    # The two are often mounted together (cgroups(7)), and a container may lack the links.
    for base in (root / controller, root / "cpu,cpuacct"):
        folder = _folder(base, groups.get(controller), needed)
        if folder is not None:
            return folder
    return None


def _limit(folder: Path | None, name: str) -> int | None:
    if folder is None:
        return None
    try:
        text = (folder / name).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _whole(text: str) -> int:
    text = text.strip()
    if not text.isdecimal():
        raise ValueError(f"{text[:32]!r} is not a time")
    return int(text)


def _of_psutil() -> CpuTime:
    import psutil

    cpus = psutil.cpu_count() or 1

    def read() -> Used:
        times = psutil.cpu_times()
        return Used(times.user + times.system + getattr(times, "nice", 0.0), None)

    return CpuTime(f"psutil, {cpus} CPUs", float(cpus), 0.01, read)
