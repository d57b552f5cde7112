"""NVIDIA GPUs through NVML: the energy counter of each, or its power where it has none.

The counter (millijoules since the driver was loaded) exists from Volta on. A GPU without it
answers with its power, which the recorder integrates: the instant one (drivers from 530 on) if
there is one, else nvmlDeviceGetPowerUsage. A power reading describes the past (see
``nvml_power``), so it is dated to the middle of what it describes. Where a GPU has both, the
counter is the figure, and the instant power is recorded beside it as a cross-check. Indices are
NVML's, which CUDA_VISIBLE_DEVICES does not change.
"""

from __future__ import annotations

import ctypes
import math
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from permille.meters import Meter, MeterUnavailable, Observation, Reading
from permille.meters.dated import SLOW_LATE_NS, dated
from permille.meters.gpu_use import Sight, judge, sees_every_process
from permille.meters.nvml_gpu import NvmlGpu, cross_check, open_gpu, optional
from permille.meters.ticks import measure_ticks
from permille.meters.unread import Unread, unread
from permille.records.recording import Domain

# Long enough for two steps of the slowest update, 0.1 s: from fewer there is no tick.
WATCH_S = 0.3
PAUSE_S = 0.001
POLLS_A_PERIOD = 4
"""How often a power reading is polled within one of its periods, to know when it changes."""

LIKE = 0.25
"""How far (relative) a measured period may be from the published one."""

THROTTLES = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
}
"""nvmlClocksEventReasons that slow a workload down, without idle and user-set clocks."""

LIBRARY = "libnvidia-ml.so.1"
UNLISTED = (
    "the driver does not list its processes: it counts as in use, and it is unknown whether"
    " another tenant uses it too"
)
UNTHROTTLED = "the driver does not report throttling"
_MODULE = Path("/sys/module/nvidia")


def open_meter() -> Meter:
    """Every NVIDIA GPU. Watches the counters for up to 0.3 s to measure their tick.

    Raises:
        MeterUnavailable: no driver, no GPU, or no permission.
    """
    import pynvml

    try:
        start_nvml(pynvml)
    except pynvml.NVMLError as error:
        raise _unavailable(error) from error
    try:
        gpus, problems = _find(pynvml)
    except pynvml.NVMLError as error:
        pynvml.nvmlShutdown()
        raise _unavailable(error) from error
    if not gpus:
        pynvml.nvmlShutdown()
        if problems:
            raise _unavailable(next(iter(problems.values())))
        raise MeterUnavailable("NVML finds no GPU")
    lost = {
        index: unread("nvml", f"gpu:{index}", "gpu", str(_unavailable(error)))
        for index, error in problems.items()
    }
    return NvmlMeter(pynvml, gpus, lost)


def open_alone(index: int) -> Meter:
    """The GPU with this index alone, as ``gpu:0``: what a process sees that is given no other.

    Raises:
        MeterUnavailable: it cannot be read.
    """
    import msgspec
    import pynvml

    try:
        start_nvml(pynvml)
        gpu = open_gpu(pynvml, index)
    except pynvml.NVMLError as error:
        raise _unavailable(error) from error
    gpu.domain = msgspec.structs.replace(gpu.domain, name="gpu:0")
    return NvmlMeter(pynvml, [gpu], {})


class NvmlMeter:
    """The GPUs of this machine."""

    name = "nvml"
    slow = False

    def __init__(
        self,
        nvml: Any,
        gpus: list[NvmlGpu],
        lost: dict[int, Unread],
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._nvml = nvml
        self._clock_ns = clock_ns
        self._gpus = gpus
        self._checks = [check for gpu in gpus if (check := cross_check(nvml, gpu)) is not None]
        self.cross_checks = tuple(check.domain for check in self._checks)
        self._lost = lost
        self._open = True
        ticks = measure_ticks(self._values, WATCH_S, PAUSE_S, clock_ns, sleep)
        for gpu, tick_s in zip(gpus, ticks, strict=True):
            gpu.domain = _with_tick(gpu.domain, tick_s)
        sensors = [gpu.domain.sensor for gpu in gpus if gpu.domain.sensor is not None]
        periods_s = [sensor.period_s / POLLS_A_PERIOD for sensor in sensors]
        self.max_interval_s = min(periods_s, default=math.inf)  # a counter has 64 bits
        self.domains = (*(gpu.domain for gpu in gpus), *(one.domain for one in lost.values()))

    def _values(self) -> list[float | None]:
        readings = self._figures(self._gpus)
        return [r.energy_j if r.power_w is None else r.power_w for r in readings]

    def read(self) -> list[Reading]:
        """Read every GPU and its cross-check; unreadable ones get an error."""
        figures = self._figures([*self._gpus, *self._checks])
        return [*figures, *(one.reading() for one in self._lost.values())]

    def _figures(self, gpus: list[NvmlGpu]) -> list[Reading]:
        readings = []
        for gpu in gpus:
            name = gpu.domain.name
            try:
                read_ns, value = dated(partial(gpu.value, self._nvml), SLOW_LATE_NS, self._clock_ns)
            except self._nvml.NVMLError as error:
                readings.append(Reading(name, self._clock_ns(), error=f"NVML: {error}"))
                continue
            t_ns = read_ns - gpu.lag_ns
            if value is None:
                readings.append(Reading(name, t_ns, error="NVML: the figure is not available"))
            elif gpu.source == "counter":
                readings.append(Reading(name, t_ns, energy_j=value))
            else:
                readings.append(Reading(name, t_ns, power_w=value))
        return readings

    def observe(self, pids: frozenset[int]) -> Observation:
        """Which GPUs ``pids`` run on, other tenants, throttling, MIG, GPUs that are lost."""
        notices: list[tuple[str | None, str]] = []
        sights: list[Sight] = []
        for gpu in self._gpus:
            name = gpu.domain.name
            try:
                sights.append(self._sight(name, gpu.handle))
                if sights[-1].pids is None:
                    notices.append((name, UNLISTED))
                notices += [(name, text) for text in self._conditions(gpu)]
            except self._nvml.NVMLError as error:
                # It may be the workload's: a lost GPU must not look like an idle one.
                sights.append(Sight(name, None, None))
                notices.append((name, f"NVML: {error}"))
        sights += [self._sight_of_lost(index) for index in self._lost]
        used, said = judge(sights, pids, sees_every_process())
        return Observation(used, (*notices, *said), self._identity())

    def close(self) -> None:
        """Shut NVML down."""
        if self._open:
            self._open = False
            try:
                self._nvml.nvmlShutdown()
            except self._nvml.NVMLError:
                return  # the driver is gone: there is nothing to release

    def _sight_of_lost(self, index: int) -> Sight:
        """A GPU without a figure may still list its processes; if it is idle, nothing is
        missing."""
        name = self._lost[index].domain.name
        try:
            return self._sight(name, self._nvml.nvmlDeviceGetHandleByIndex(index))
        except self._nvml.NVMLError:
            return Sight(name, None, None)

    def _sight(self, name: str, handle: Any) -> Sight:
        nvml = self._nvml
        found: set[int] | None = None
        # Both lists: a process that uses the GPU for graphics alone is not among the compute ones
        # (NVML API reference), but its energy is in the figure, too.
        for kind in ("Compute", "Graphics"):
            for version in ("_v3", "_v2"):
                ask = getattr(nvml, f"nvmlDeviceGet{kind}RunningProcesses{version}")
                processes = optional(nvml, ask, handle)
                if processes is not None:
                    found = (found or set()) | {int(process.pid) for process in processes}
                    break
        rates = optional(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
        busy = None if rates is None else int(rates.gpu) > 0
        return Sight(name, None if found is None else frozenset(found), busy)

    def _conditions(self, gpu: NvmlGpu) -> list[str]:
        nvml, said = self._nvml, []
        reasons = optional(nvml, nvml.nvmlDeviceGetCurrentClocksEventReasons, gpu.handle)
        if reasons is None:  # drivers before 535 use its former name
            reasons = optional(nvml, nvml.nvmlDeviceGetCurrentClocksThrottleReasons, gpu.handle)
        if reasons is None:
            said.append(UNTHROTTLED)
        why = [text for bit, text in THROTTLES.items() if (reasons or 0) & bit]
        if why:
            said.append(f"throttled: {', '.join(why)}")
        mig = optional(nvml, nvml.nvmlDeviceGetMigMode, gpu.handle)
        # The second is the pending mode, which only counts after a reset (NVML API reference).
        if mig is not None and mig[0] == nvml.NVML_DEVICE_MIG_ENABLE:
            said.append("MIG is on: the figure covers the whole GPU with all its instances")
        return said

    def _identity(self) -> str:
        nvml = self._nvml
        try:
            driver = str(optional(nvml, nvml.nvmlSystemGetDriverVersion))
        except nvml.NVMLError as error:
            driver = str(error)
        try:  # recreated when the driver is reloaded, which restarts the counters
            module = str(os.stat(_MODULE).st_ino)
        except OSError:
            module = ""
        return " ".join([driver, module, *(gpu.uuid for gpu in self._gpus)])


def start_nvml(nvml: Any) -> None:
    """Initialise NVML, also in a library without ``nvmlInitWithFlags`` (drivers before 375, and
    replacements of the driver's library), which nvidia-ml-py does not support.

    Raises:
        pynvml.NVMLError: it does not start.
    """
    try:
        nvml.nvmlInit()
    except nvml.NVMLError_FunctionNotFound:
        try:  # nvidia-ml-py has just loaded it: the same name is the same library
            code = ctypes.CDLL(LIBRARY).nvmlInit_v2()
        except (OSError, AttributeError):
            raise nvml.NVMLError(nvml.NVML_ERROR_FUNCTION_NOT_FOUND) from None
        if code != nvml.NVML_SUCCESS:
            raise nvml.NVMLError(code) from None


def _find(nvml: Any) -> tuple[list[NvmlGpu], dict[int, Exception]]:
    gpus: list[NvmlGpu] = []
    problems: dict[int, Exception] = {}
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            gpus.append(open_gpu(nvml, index))
        except nvml.NVMLError as error:
            problems[index] = error
    return gpus, problems


def _with_tick(domain: Domain, tick_s: float | None) -> Domain:
    """With the measured tick, which is also the period of a power sensor.

    An idle GPU may show one power for several periods: a tick far from the published period is
    not taken for it.
    """
    import msgspec

    sensor = domain.sensor
    if sensor is not None and tick_s is not None and abs(tick_s / sensor.period_s - 1) < LIKE:
        sensor = msgspec.structs.replace(sensor, period_s=tick_s)
    return msgspec.structs.replace(domain, tick_s=tick_s, sensor=sensor)


def _unavailable(error: Any) -> MeterUnavailable:
    import pynvml

    code = getattr(error, "value", None)
    remedies = {
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
            "if there is an NVIDIA GPU, install its driver; in a container, start it with "
            "`--gpus all` and NVIDIA_DRIVER_CAPABILITIES=compute,utility"
        ),
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "load the driver: `sudo modprobe nvidia`",
        pynvml.NVML_ERROR_NO_PERMISSION: (
            "let this user open /dev/nvidiactl and /dev/nvidia*; in a container, pass them in"
        ),
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
            "the driver was updated while it was loaded: reboot or reload it"
        ),
    }
    forbidden = code == pynvml.NVML_ERROR_NO_PERMISSION
    # The library comes with the driver: where it is, a GPU is expected, and every figure says that
    # its energy is missing.
    present = code != pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
    remedy = remedies.get(code, "")
    return MeterUnavailable(f"NVML: {error}", remedy, forbidden=forbidden, present=present)
