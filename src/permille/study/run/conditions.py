"""The state of the machine during a trial, which may differ between sessions."""

from __future__ import annotations

import hashlib
import hmac
import os
import platform
from pathlib import Path

from permille.meters.gpu_state import gpu_state
from permille.records import Conditions

APPLICATION = b"permille: sessions"
"""The salt of the machine's id, so that different programs' hashes cannot be linked, as
machine-id(5) requires."""
MACHINE_IDS = ("etc/machine-id", "var/lib/dbus/machine-id")
BOOT_ID = "proc/sys/kernel/random/boot_id"
CPUFREQ = "sys/devices/system/cpu/cpufreq"
NO_TURBO = "sys/devices/system/cpu/intel_pstate/no_turbo"
PROCESSOR_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal")
"""The kernel's names for drivers of processor temperature sensors."""


def read(root: Path = Path("/"), *, nvidia: bool = False) -> Conditions:
    """The current state of this machine. ``nvidia``: NVML is among the meters in use.

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
    """The highest temperature of the processors' sensors, in degrees Celsius; None without
    sensors."""
    import psutil

    sensors = getattr(psutil, "sensors_temperatures", None)  # not on macOS
    if sensors is None:
        return None
    found = sensors()
    readings = [one.current for name in PROCESSOR_SENSORS for one in found.get(name, ())]
    return max(readings, default=None)


def _machine(root: Path) -> str:
    known = next(filter(None, (_line(root / name) for name in MACHINE_IDS)), None)
    # Without an id, hash the host name, which does not leave the machine either.
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
    """The governors of the processors, without duplicates."""
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
    """The single line of a small file; None if it cannot be read or is empty."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()[:200] or None
    except OSError:
        return None
