"""A trial's environment: the hardware and versions that its energy depends on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Iterable
from pathlib import Path

import msgspec

from permille.records.machine import Environment
from permille.records.recording import Domain
from permille.version import __version__

_PACKAGES = (
    "numpy",
    "onnxruntime",
    "tokenizers",
    "torch",
    "transformers",
    "diffusers",
    "xllamacpp",
)
_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
)
"""Variables that every worker gets and that affect its energy and time."""


def describe(domains: Iterable[Domain], *, per_gpu: bool = False) -> Environment:
    """This machine, with a fingerprint of everything that trials must share to be pooled.

    The fingerprint covers hardware, system, interpreter, meters and the versions of libraries that
    run models. permille's own version is recorded but not included, because it affects the
    protocol. With ``per_gpu``, all GPUs of a machine have the same if they are of one model: which
    one it was is a matter of the session.
    """
    metered = tuple(domains)
    variables = [name for name in _VARIABLES if not (per_gpu and name == "CUDA_VISIBLE_DEVICES")]
    facts = {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cpus": str(os.cpu_count()),
        "memory_gib": _memory_gib(),
        "python": platform.python_version(),
        "meters": ", ".join(sorted({d.meter for d in metered})),
        "devices": ", ".join(f"{d.name}: {d.device}" for d in metered if d.device),
        **{name: version for name in _PACKAGES if (version := _version(name))},
        **{name: os.environ[name] for name in variables if name in os.environ},
        **({"measured": "one GPU, beside the others' trials"} if per_gpu else {}),
    }
    digest = hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()
    return Environment(fingerprint=digest[:12], facts={**facts, "permille": __version__})


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    # platform.processor() is empty or no more than "x86_64" on many Linux systems.
    cpuinfo = Path("/proc/cpuinfo")
    known = cpu_model(cpuinfo.read_text(errors="replace")) if cpuinfo.exists() else None
    return known or platform.processor() or "unknown"


def cpu_model(cpuinfo: str) -> str | None:
    """The processor by a /proc/cpuinfo, on Arm with the numbers of its implementer and part."""
    name, implementer, parts = None, "", set[str]()
    for line in cpuinfo.splitlines():
        key, _, value = (text.strip() for text in line.partition(":"))
        if key == "model name":
            name = name or value
        elif key == "CPU implementer":
            implementer = value
        # On Arm, 64-bit programs see no name (c_show() in Linux' arch/arm64/kernel/cpuinfo.c), and
        # others a vague one ("ARMv7 Processor rev 4"): without the numbers, processors of different
        # generations would be one kind of machine, and be pooled.
        elif key == "CPU part":
            parts.add(f"{implementer}/{value}")
    return ", ".join([*([name] if name else []), *sorted(parts)]) or None


def _memory_gib() -> str:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{pages / 2**30:.0f}"
