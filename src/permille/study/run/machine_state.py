"""What this machine is, as far as a session needs it: a digest of its id and its boot's, and the
state that changes from day to day. What cannot be read is None.

On Linux everything is in files, below a root that tests replace; on macOS the two ids come from
the system's own commands.
"""

from __future__ import annotations

import hmac
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from permille.recorder.lock import fake_node
from permille.records.machine import GpuState, MachineState

ROOT = Path("/")
_APPLICATION = b"permille: a session's machine and boot"
_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "x86_pkg_temp")
"""Names under which drivers list the processor's temperature (hwmon, thermal zones)."""
_MOST_BYTES = 1 << 16
_MOST_TEXT = 200
_MAC_MACHINE = ("/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice")
_MAC_BOOT = ("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid")


class Ids(NamedTuple):
    """Digests of the machine's id and of its boot's."""

    machine: str | None
    boot: str | None


def ids(root: Path = ROOT) -> Ids:
    """Of this machine. The ids themselves never leave it: machine-id(5) asks for a keyed hash."""
    if (node := fake_node()) is not None:
        return Ids(digest(node), digest(f"the boot of {node}"))
    # A system without systemd may have D-Bus's alone.
    machine = _text(root / "etc/machine-id") or _text(root / "var/lib/dbus/machine-id")
    boot = _text(root / "proc/sys/kernel/random/boot_id")
    if platform.system() == "Darwin" and root == ROOT:
        machine = platform_uuid(_output(_MAC_MACHINE))
        boot = _output(_MAC_BOOT).strip()
    return Ids(digest(machine), digest(boot))


def ids_of_gpu(uuid: str) -> Ids:
    """Where trials are made on one GPU alone, as if each were a machine."""
    machine, boot = ids()
    return Ids(digest(f"{machine}/{uuid}") if machine else None, boot)


def digest(id: str | None) -> str | None:
    """An id as it is stored; None of one that is missing or empty."""
    if not id:
        return None
    return hmac.digest(id.encode(), _APPLICATION, "sha256").hex()[:16]


def platform_uuid(listing: str) -> str | None:
    """The machine's id in what ``ioreg`` prints on a Mac."""
    match = re.search(r'"IOPlatformUUID" = "([0-9A-Fa-f-]{1,40})"', listing)
    return match[1] if match else None


def describe_state(
    root: Path = ROOT, gpu_driver: str | None = None, gpus: tuple[GpuState, ...] = ()
) -> MachineState:
    """This machine now."""
    return MachineState(
        kernel=platform.release()[:_MOST_TEXT] or None,
        # The entry of the first processor: the whole file has megabytes on a machine of many.
        microcode=_microcode(_text(root / "proc/cpuinfo", lines=40)),
        governor=_governor(root),
        turbo=_turbo(root),
        load_1min=_load(_text(root / "proc/loadavg")),
        steal=steal_share(_text(root / "proc/stat")),
        temperature_c=temperature_c(root),
        gpu_driver=gpu_driver,
        gpus=gpus,
    )


def temperature_c(root: Path = ROOT) -> float | None:
    """Of the hottest processor package."""
    places = [
        *((chip / "name", chip.glob("temp*_input")) for chip in _listed(root, "hwmon/hwmon*")),
        *((zone / "type", [zone / "temp"]) for zone in _listed(root, "thermal/thermal_zone*")),
    ]
    readings = [
        _number(_text(file)) for name, files in places if _text(name) in _CHIPS for file in files
    ]
    # Millidegrees in both places: https://docs.kernel.org/hwmon/sysfs-interface.html
    degrees = [one / 1000 for one in readings if one is not None]
    return max((one for one in degrees if -50 < one < 150), default=None)


def steal_share(stat: str | None) -> float | None:
    """Share of the CPU time since boot that the hypervisor gave to others, from /proc/stat."""
    fields = (stat or "").split("\n", 1)[0].split()
    if fields[:1] != ["cpu"] or len(fields) < 9 or not all(f.isdecimal() for f in fields[1:9]):
        return None
    # Without the last two fields: guests' time is already in user and nice, as psutil notes, too.
    ticks = [int(field) for field in fields[1:9]]
    return ticks[7] / sum(ticks) if sum(ticks) else None


def _microcode(cpuinfo: str | None) -> str | None:
    match = re.search(r"^microcode\s*:\s*(\S+)", cpuinfo or "", re.MULTILINE)
    return match[1] if match else None


def _governor(root: Path) -> str | None:
    """The CPUs' governors, each once."""
    files = (root / "sys/devices/system/cpu/cpufreq").glob("policy*/scaling_governor")
    return ", ".join(sorted({text for file in files if (text := _text(file))})) or None


def _turbo(root: Path) -> bool | None:
    """Whether clocks above the nominal one are allowed."""
    cpu = root / "sys/devices/system/cpu"
    # intel_pstate has the switch the other way round:
    # https://docs.kernel.org/admin-guide/pm/intel_pstate.html
    off, on = _text(cpu / "intel_pstate/no_turbo"), _text(cpu / "cpufreq/boost")
    if off in ("0", "1"):
        return off == "0"
    return on == "1" if on in ("0", "1") else None


def _load(loadavg: str | None) -> float | None:
    return _number((loadavg or "").split(" ", 1)[0])


def _listed(root: Path, pattern: str) -> Sequence[Path]:
    return sorted((root / "sys/class").glob(pattern))


def _number(text: str | None) -> float | None:
    match = re.fullmatch(r"-?\d{1,12}(\.\d{1,6})?", text or "")
    return float(match[0]) if match else None


def _text(path: Path, lines: int = 1) -> str | None:
    """The first lines of a small file, bounded; None where it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            content = file.read(_MOST_BYTES)
    except OSError:
        return None
    kept = "\n".join(line[:_MOST_TEXT] for line in content.splitlines()[:lines])
    return kept.strip() or None


def _output(command: Sequence[str]) -> str:
    """What a command of the system prints; empty where it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=10, check=False, env=dict(os.environ, LC_ALL="C")
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout[:_MOST_BYTES].decode("utf-8", "replace")
