"""The state of the machine that a trial ran on: what may differ from one session to the next."""

from __future__ import annotations

import hashlib
import hmac
import os
import platform
from pathlib import Path

from permille.meters.gpu_state import gpu_state
from permille.records import Conditions

APPLICATION = b"permille: sessions"
"""What the machine's id is hashed with: two programs that do so cannot tell that they ran on the
same machine (as machine-id(5) asks of whoever hands the id on)."""
MACHINE_IDS = ("etc/machine-id", "var/lib/dbus/machine-id")
BOOT_ID = "proc/sys/kernel/random/boot_id"
CPUFREQ = "sys/devices/system/cpu/cpufreq"
NO_TURBO = "sys/devices/system/cpu/intel_pstate/no_turbo"
PROCESSOR_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal")
"""The kernel's names of drivers that read a processor's temperature."""


def read(root: Path = Path("/"), *, nvidia: bool = False) -> Conditions:
    """The state of this machine now. ``nvidia``: NVML is among the meters in use.

    ``root`` is where /etc, /proc and /sys are.
    """
    driver, clocks = gpu_state() if nvidia else (None, {})
    return Conditions(
        machine=_machine(root),
        boot=_line(root / BOOT_ID),
        kernel=platform.release(),
        microcode=_microcode(root),
        governor=_governor(root),
        turbo=_turbo(root),
        temperature_start_c=temperature_c(),
        load=os.getloadavg()[0],
        gpu_driver=driver,
        gpu_clock_mhz=clocks,
    )


def temperature_c() -> float | None:
    """The hottest sensor of the processors, in degrees Celsius; None where there is none."""
    import psutil

    sensors = getattr(psutil, "sensors_temperatures", None)  # not on macOS
    if sensors is None:
        return None
    found = sensors()
    readings = [one.current for name in PROCESSOR_SENSORS for one in found.get(name, ())]
    return max(readings, default=None)


def _machine(root: Path) -> str:
    known = next(filter(None, (_line(root / name) for name in MACHINE_IDS)), None)
    # Without an id, the host's name: it does not leave the machine either.
    key = known or platform.node()
    return hmac.new(key.encode(), APPLICATION, hashlib.sha256).hexdigest()[:16]


def _microcode(root: Path) -> str | None:
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    lines = (line.partition(":") for line in text.splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == "microcode"), None)


def _governor(root: Path) -> str | None:
    """The governor of every processor; more than one where they differ."""
    policies = sorted((root / CPUFREQ).glob("policy*"))
    governors = {line for p in policies if (line := _line(p / "scaling_governor"))}
    return ", ".join(sorted(governors)) or None


def _turbo(root: Path) -> bool | None:
    off = _line(root / NO_TURBO)
    if off is not None:
        return off == "0"
    boost = _line(root / CPUFREQ / "boost")
    return None if boost is None else boost == "1"


def _line(path: Path) -> str | None:
    """The one line of a small file; None where it cannot be read or is empty."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()[:200] or None
    except OSError:
        return None
