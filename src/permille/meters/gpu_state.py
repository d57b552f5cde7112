"""The state of NVIDIA GPUs from NVML: the driver's version and the clocks."""

from __future__ import annotations

from typing import Any


def gpu_state() -> tuple[str | None, dict[str, int]]:
    """(The driver's version, the clock of each GPU's processors in MHz by NVML's index); None and
    an empty mapping if NVML does not report them."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None, {}
    try:
        return _driver(pynvml), _clocks(pynvml)
    finally:
        pynvml.nvmlShutdown()


def _driver(nvml: Any) -> str | None:
    try:
        version = nvml.nvmlSystemGetDriverVersion()
    except nvml.NVMLError:
        return None
    return version.decode() if isinstance(version, bytes) else str(version)


def _clocks(nvml: Any) -> dict[str, int]:
    found = {}
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            found[str(index)] = int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))
        except nvml.NVMLError:
            continue  # this one does not say
    return found
