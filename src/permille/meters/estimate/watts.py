"""Published power per hardware thread and per GB of memory, the basis of the estimate.

The processor figures are Cloud Carbon Footprint's coefficients (Apache-2.0), which are averages
of SPECpower_ssj2008 results by microarchitecture: the power of whole servers at the wall, idle
and at full load, over their hardware threads. So they include fans, power supply and some memory
too. github.com/cloud-carbon-footprint/ccf-coefficients, output/coefficients-aws-use.csv at
b0032d928c787cf76cecd7d1d611c5b46f366e29 (SPECpower as of 2026-03-09), rounded to three digits.

Left out: its Graviton rows, which are EPYC 2nd Gen's; and EPYC 5th Gen, whose 3.7 and 9.0 W are
four times its predecessor's with half the memory per chip, as if measured on small desktop parts
sold under that name.
"""

from __future__ import annotations

import statistics
from typing import NamedTuple

from permille.meters.processor import Processor

SOURCE = "Cloud Carbon Footprint coefficients from SPECpower_ssj2008, 2026-03"


class ThreadWatts(NamedTuple):
    """Watts of one hardware thread's share of a server, with the interval (relative, k = 2)."""

    architecture: str
    idle_w: float
    full_w: float
    accuracy_low: float
    accuracy_high: float
    source: str


WATTS: dict[str, tuple[float, float]] = {
    "Sandy Bridge": (2.21, 8.63),
    "Ivy Bridge": (1.71, 5.56),
    "Haswell": (1.86, 5.60),
    "Broadwell": (0.713, 3.69),
    "Skylake": (0.613, 4.10),
    "Cascade Lake": (0.690, 4.06),
    "Coffee Lake": (1.14, 5.42),
    "Ice Lake": (0.767, 3.76),
    "Sapphire Rapids": (1.04, 4.16),
    "Emerald Rapids": (0.814, 4.48),
    "Granite Rapids": (0.582, 2.53),
    "EPYC 1st Gen": (0.847, 2.60),
    "EPYC 2nd Gen": (0.474, 1.69),
    "EPYC 3rd Gen": (0.456, 1.96),
    "EPYC 4th Gen": (0.739, 2.28),
}
"""(idle, full) watts per hardware thread."""

KNOWN_LOW, KNOWN_HIGH = 0.30, 0.70
"""Such estimates were off by up to 40 % against external meters over hundreds of runs (Fischer
2025, arXiv:2509.22092): if a figure is 40 % too high, the truth is 29 % lower; if it is 40 % too
low, the truth is 67 % higher. Vendors tune SPECpower's servers for the benchmark, so the interval
extends further upwards."""
UNKNOWN_LOW, UNKNOWN_HIGH = 0.60, 1.90
"""From the median to the ends of WATTS, for a processor that is not in it."""

DRAM_W_PER_GB = 0.284
"""Boavizta API, RAMConsumptionProfileModel (a figure; none of its code is here)."""
DRAM_LOW, DRAM_HIGH = 0.70, 0.60
"""Down to 0.085 W/GB, because large modules draw less per GB and WATTS already includes 1 to 2 GB
per thread; up to 0.45 W/GB, above the 0.392 that Cloud Carbon Footprint uses."""
DRAM_SOURCE = "0.284 W/GB of memory (Boavizta); Cloud Carbon Footprint uses 0.392; -70/+60 %"

_INTEL = {
    **dict.fromkeys((0x2A, 0x2D), "Sandy Bridge"),
    **dict.fromkeys((0x3A, 0x3E), "Ivy Bridge"),
    **dict.fromkeys((0x3C, 0x3F, 0x45, 0x46), "Haswell"),
    **dict.fromkeys((0x3D, 0x47, 0x4F, 0x56), "Broadwell"),
    **dict.fromkeys((0x4E, 0x5E, 0x55), "Skylake"),
    **dict.fromkeys((0x8E, 0x9E), "Coffee Lake"),
    **dict.fromkeys((0x6A, 0x6C), "Ice Lake"),
    0x8F: "Sapphire Rapids",
    0xCF: "Emerald Rapids",
    **dict.fromkeys((0xAD, 0xAE), "Granite Rapids"),
}
"""Family 6 models: arch/x86/include/asm/intel-family.h."""
_AMD = {
    (0x17, 0x01): "EPYC 1st Gen",
    (0x17, 0x31): "EPYC 2nd Gen",
    (0x19, 0x01): "EPYC 3rd Gen",
    (0x19, 0x11): "EPYC 4th Gen",
    (0x19, 0xA0): "EPYC 4th Gen",
}
"""Server models of Zen 1 to Zen 4c; desktop models have others and are not in WATTS."""


def architecture(processor: Processor) -> str | None:
    """The microarchitecture as named in WATTS; None if it is not in it."""
    family, model = processor.family, processor.model
    if family is None or model is None:
        return None
    if processor.vendor == "GenuineIntel" and family == 6:
        if model == 0x55 and (processor.stepping or 0) >= 5:
            return "Cascade Lake"  # the same model number as Skylake's servers
        return _INTEL.get(model)
    if processor.vendor == "AuthenticAMD":
        return _AMD.get((family, model))
    return None


def thread_watts(processor: Processor) -> ThreadWatts:
    """The power of a hardware thread of this processor; the median of WATTS if it is unknown."""
    name = architecture(processor)
    if name is not None:
        idle_w, full_w = WATTS[name]
        source = f"{name}: {idle_w:g} W idle, {full_w:g} W full per thread ({SOURCE}); -30/+70 %"
        return ThreadWatts(name, idle_w, full_w, KNOWN_LOW, KNOWN_HIGH, source)
    idle_w = statistics.median(idle for idle, _ in WATTS.values())
    full_w = statistics.median(full for _, full in WATTS.values())
    source = (
        f"processor not in the table: its median, {idle_w:g} W idle, {full_w:g} W full per thread "
        f"({SOURCE}); -60/+190 %"
    )
    return ThreadWatts("unknown", idle_w, full_w, UNKNOWN_LOW, UNKNOWN_HIGH, source)
