"""One NVIDIA GPU: which of NVML's figures it has, and what is known about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from permille.meters import nvml_power
from permille.meters.gpu_limit import max_power_w
from permille.records.recording import Domain, Provenance

NOT_AVAILABLE = (2**32 - 1, 2**64 - 1)

COUNTER_SOURCE = f"energy counter: {nvml_power.GAIN_SOURCE}"
POWER_SOURCE = f"no energy counter, power integrated: {nvml_power.GAIN_SOURCE}"
CHECK_SOURCE = f"instant power, integrated: {nvml_power.GAIN_SOURCE}"


@dataclass
class NvmlGpu:
    """One GPU: its NVML handle, and how its energy is read."""

    handle: Any
    domain: Domain
    source: nvml_power.Source
    uuid: str

    @property
    def lag_ns(self) -> int:
        """How long before it is read lies the middle of what a reading describes."""
        sensor = self.domain.sensor
        return 0 if sensor is None else round(1e9 * sensor.lag_s)

    def value(self, nvml: Any) -> float | None:
        """Joules of the counter, or watts; None if the value is not available.

        Raises:
            pynvml.NVMLError: it did not answer.
        """
        if self.source == "counter":
            answer = available(nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle))
        elif self.source == "instant":
            answer = available(nvml_power.instant_mw(nvml, self.handle))
        else:
            answer = available(nvml.nvmlDeviceGetPowerUsage(self.handle))
        return None if answer is None else answer / 1e3


def _source(nvml: Any, handle: Any) -> nvml_power.Source:
    """The best source of a figure that this GPU has.

    Raises:
        pynvml.NVMLError: it has none, or did not answer.
    """
    if available(optional(nvml, nvml.nvmlDeviceGetTotalEnergyConsumption, handle)) is not None:
        return "counter"
    if available(nvml_power.instant_mw(nvml, handle)) is not None:
        return "instant"
    # Not `optional`: if this fails too, its error is the reason that is shown.
    if available(nvml.nvmlDeviceGetPowerUsage(handle)) is None:
        raise nvml.NVMLError(nvml.NVML_ERROR_NOT_SUPPORTED)
    return "power"


def open_gpu(nvml: Any, index: int) -> NvmlGpu:
    """The GPU with this index of NVML's, and the best source of its energy.

    Raises:
        pynvml.NVMLError: it has none, or did not answer.
    """
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    source = _source(nvml, handle)
    counts = source == "counter"
    capability = optional(nvml, nvml.nvmlDeviceGetCudaComputeCapability, handle)
    domain = Domain(
        name=f"gpu:{index}",
        kind="gpu",
        meter="nvml",
        provenance=Provenance.MEASURED,
        accuracy_low=nvml_power.ACCURACY_LOW,
        accuracy_high=nvml_power.ACCURACY_HIGH,
        accuracy_source=COUNTER_SOURCE if counts else POWER_SOURCE,
        resolution_j=1e-3 if counts else None,
        max_power_w=_max_power_w(nvml, handle),
        device=_text(nvml, nvml.nvmlDeviceGetName, handle),
        offset_w=nvml_power.offset_w(capability),
        sensor=nvml_power.sensor(capability, source),
    )
    pci = optional(nvml, nvml.nvmlDeviceGetPciInfo_v3, handle)
    bus = "" if pci is None else bytes(pci.busId).decode("ascii", "replace")
    uuid = _text(nvml, nvml.nvmlDeviceGetUUID, handle)
    return NvmlGpu(handle, domain, source, f"{uuid or 'no UUID'}@{bus}")


def cross_check(nvml: Any, gpu: NvmlGpu) -> NvmlGpu | None:
    """The instant power of a GPU whose counter is used, to be compared with it; None without
    either. A GPU whose instant power cannot be read now is measured without it."""
    import msgspec

    if gpu.source != "counter":
        return None
    try:
        if available(nvml_power.instant_mw(nvml, gpu.handle)) is None:
            return None
        capability = optional(nvml, nvml.nvmlDeviceGetCudaComputeCapability, gpu.handle)
    except nvml.NVMLError:
        return None
    domain = msgspec.structs.replace(
        gpu.domain,
        name=f"{gpu.domain.name} instant power",
        accuracy_source=CHECK_SOURCE,
        resolution_j=None,
        sensor=nvml_power.sensor(capability, "instant"),
        checks=gpu.domain.name,
    )
    return NvmlGpu(gpu.handle, domain, "instant", gpu.uuid)


def _max_power_w(nvml: Any, handle: Any) -> float:
    limits_mw = optional(nvml, nvml.nvmlDeviceGetPowerManagementLimitConstraints, handle)
    enforced_mw = optional(nvml, nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
    stated_mw = [available(mw) for mw in (limits_mw[1] if limits_mw else None, enforced_mw)]
    # The greatest that can be set: the enforced one may be raised while a run goes on.
    limit_w = max((mw for mw in stated_mw if mw is not None), default=0.0) / 1e3
    return max_power_w(limit_w)


def available(value: int | None) -> float | None:
    """A value, or None if it is not available: NVML then says so, or returns the largest number of
    the field (nvml.h, NVML_VALUE_NOT_AVAILABLE is -1)."""
    return None if value is None or value in NOT_AVAILABLE else float(value)


def _text(nvml: Any, ask: Callable[..., Any], handle: Any) -> str | None:
    try:
        answer = optional(nvml, ask, handle)
    # nvidia-ml-py decodes the driver's bytes as UTF-8, whatever they are.
    except UnicodeDecodeError:
        return None
    return None if answer is None else str(answer)


def optional(nvml: Any, ask: Callable[..., Any], *arguments: Any) -> Any:
    """The result of ``ask``, or None if this GPU or driver does not support it.

    Raises:
        pynvml.NVMLError: any other error, such as a lost GPU.
    """
    try:
        return ask(*arguments)
    except (
        nvml.NVMLError_NotSupported,
        nvml.NVMLError_FunctionNotFound,
        nvml.NVMLError_NoPermission,
        nvml.NVMLError_InvalidArgument,
        # The driver is older than the structure that nvidia-ml-py passes to it.
        nvml.NVMLError_ArgumentVersionMismatch,
    ):
        return None
