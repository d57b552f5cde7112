"""The state of the NVIDIA GPUs as a session begins: driver, clocks, power limit, temperature.

Asked only where the recorder has just read the same GPUs: a driver that blocks was found then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from permille.meters.nvml import start_nvml
from permille.meters.nvml_gpu import available
from permille.records.machine import GpuState


def gpu_states(alone: int | None = None) -> tuple[str | None, tuple[GpuState, ...]]:
    """The driver's version, and every GPU, or one ``alone`` by its index, as ``gpu:0``; None and
    nothing where NVML does not start."""
    import pynvml

    try:
        start_nvml(pynvml)
    except pynvml.NVMLError:
        return None, ()
    try:
        driver = _text(_ask(pynvml, pynvml.nvmlSystemGetDriverVersion))
        if alone is not None:
            return driver, (_gpu(pynvml, alone, "gpu:0"),)
        count = _ask(pynvml, pynvml.nvmlDeviceGetCount) or 0
        return driver, tuple(_gpu(pynvml, index, f"gpu:{index}") for index in range(count))
    finally:
        # NVML counts its initialisations, and shuts down after the last of them (NVML API
        # reference, nvmlInit_v2): a meter that is open in this process can still use it.
        _ask(pynvml, pynvml.nvmlShutdown)


def _gpu(nvml: Any, index: int, name: str) -> GpuState:
    handle = _ask(nvml, nvml.nvmlDeviceGetHandleByIndex, index)
    if handle is None:
        return GpuState(name=name)
    limit_mw = available(_ask(nvml, nvml.nvmlDeviceGetEnforcedPowerLimit, handle))
    degrees = _ask(nvml, nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU)
    return GpuState(
        name=name,
        device=_text(_ask(nvml, nvml.nvmlDeviceGetName, handle)),
        clock_mhz=_clock(nvml, handle, nvml.NVML_CLOCK_SM),
        memory_clock_mhz=_clock(nvml, handle, nvml.NVML_CLOCK_MEM),
        power_limit_w=None if limit_mw is None else limit_mw / 1e3,
        temperature_c=available(degrees),
    )


def _clock(nvml: Any, handle: Any, kind: int) -> int | None:
    figure = available(_ask(nvml, nvml.nvmlDeviceGetClockInfo, handle, kind))
    return None if figure is None else int(figure)


def _text(answer: Any) -> str | None:
    return None if answer is None else str(answer)[:100]


def _ask(nvml: Any, ask: Callable[..., Any], *arguments: Any) -> Any:
    """The answer, or None: the state is a fact beside the figures, and what a GPU or driver does
    not tell is missing from it."""
    try:
        return ask(*arguments)
    except (nvml.NVMLError, UnicodeDecodeError):
        return None
