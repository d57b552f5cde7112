"""Identify the processor from /proc/cpuinfo, for accuracy and power figures."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

CPUINFO = Path("/proc/cpuinfo")
_LIMIT = 1 << 16  # the first processor's entry is enough; a large machine's file is megabytes


class Processor(NamedTuple):
    """The first processor of the machine. ``family`` and ``model`` are None where absent (Arm)."""

    vendor: str
    family: int | None
    model: int | None
    name: str
    stepping: int | None = None


def parse_cpuinfo(text: str) -> Processor:
    """The first processor in the text of a /proc/cpuinfo; unknown values are empty."""
    entry: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            entry.setdefault(key.strip(), value.strip())
    vendor = entry.get("vendor_id") or entry.get("CPU implementer", "")
    family, model = entry.get("cpu family", ""), entry.get("model", "")
    stepping = entry.get("stepping", "")
    if "CPU part" in entry:  # Arm: the part number is the microarchitecture
        model = str(int(entry["CPU part"], 16)) if _is_hex(entry["CPU part"]) else ""
    return Processor(
        vendor=vendor,
        family=int(family) if family.isdecimal() else None,
        model=int(model) if model.isdecimal() else None,
        name=entry.get("model name", ""),
        stepping=int(stepping) if stepping.isdecimal() else None,
    )


def read_processor(path: Path = CPUINFO) -> Processor:
    """The processor of this machine; everything is unknown without /proc/cpuinfo (macOS)."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return parse_cpuinfo(file.read(_LIMIT))
    except OSError:
        return Processor("", None, None, "")


def _is_hex(text: str) -> bool:
    digits = text.removeprefix("0x")
    return bool(digits) and all(c in "0123456789abcdefABCDEF" for c in digits)
