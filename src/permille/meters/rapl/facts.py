"""Published facts about RAPL: its accuracy, and plausible power."""

from __future__ import annotations

from pathlib import Path

from permille.meters.processor import Processor
from permille.meters.rapl.zones import read_line
from permille.records.recording import DomainKind

HEADROOM = 4.0
"""The highest plausible power, relative to the highest limit of the zone. The limits are averages
over windows of up to minutes; turbo and power-supply transients exceed them for milliseconds."""
LEAST_MAX_POWER_W = 100.0
"""A lower power is never implausible for a package, whatever limit is set."""
DEFAULT_MAX_POWER_W: dict[DomainKind, float] = {"cpu": 1000.0, "dram": 200.0, "node": 4000.0}
"""Used if a zone states no limit. The largest packages sold are rated at 500 W (2025)."""
_KHAN = "Khan et al. 2018, doi:10.1145/3177754"
_DESROCHERS = "Desrochers et al. 2016, doi:10.1145/2989081.2989088"
_SCHOENE = "Schöne et al. 2021, arXiv:2108.00808"
_MODELLED_INTEL = {0x2A, 0x2D, 0x3A, 0x3E}
"""Sandy Bridge and Ivy Bridge: family 6 models whose RAPL is computed from events, without a
sensor."""


def accuracy(kind: DomainKind, processor: Processor) -> tuple[float, str]:
    """The relative accuracy (k = 2, symmetric) of a RAPL domain, and its source.

    No vendor states one for RAPL; these bounds are permille's interpretation of published
    comparisons with instruments, as the source text says.
    """
    if kind == "node":
        return 0.20, "psys: set up by the maker of the machine, no published bound; taken as ±20 %"
    if kind == "dram":
        if "Xeon" in processor.name:
            return 0.10, f"dram, server: sensed, taken as ±10 % ({_DESROCHERS})"
        return 0.25, f"dram: modelled, off by a constant power, taken as ±25 % ({_DESROCHERS})"
    if processor.vendor == "GenuineIntel" and processor.model not in _MODELLED_INTEL:
        return 0.05, f"package, Haswell or later: sensed, taken as ±5 % ({_KHAN})"
    if processor.vendor == "AuthenticAMD":
        return 0.15, f"package, AMD: blind to operands and memory, taken as ±15 % ({_SCHOENE})"
    return 0.15, f"package: computed from events, taken as ±15 % ({_KHAN})"


def max_power_w(kind: DomainKind, zone: Path) -> float:
    """The highest plausible power: HEADROOM times the highest limit, or a default."""
    limits_w = []
    # Both files: the kernel states the TDP as the maximum of the long-term limit
    # (intel_rapl_common.c, get_pl_prim), but the limit itself may be set higher.
    for pattern in ("constraint_*_max_power_uw", "constraint_*_power_limit_uw"):
        for path in zone.glob(pattern):
            try:
                text = read_line(path)
            except OSError:
                continue  # some limits exist but cannot be read (EOPNOTSUPP, ENODATA)
            # 0 where no limit is set.
            if text.isdigit() and 0 < int(text) < 1e11:
                limits_w.append(int(text) / 1e6)
    if not limits_w:
        return DEFAULT_MAX_POWER_W[kind]
    return max(LEAST_MAX_POWER_W, HEADROOM * max(limits_w))
