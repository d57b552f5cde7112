"""One NVIDIA GPU of a machine alone, for trials that run beside those on its other GPUs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from permille.errors import MeterError
from permille.meters import Meter, MeterUnavailable, Observation, Reading
from permille.meters.nvml import open_alone, start_nvml
from permille.meters.nvml_gpu import optional
from permille.meters.unread import unread
from permille.records.recording import Domain

HOST = (
    "the host's energy is not one GPU's: its other GPUs have trials of their own at the same time"
    " (--per gpu); see --boundary accelerator"
)
_MIG = (
    "is divided (MIG), and its counter covers all instances; --per gpu needs whole GPUs: turn MIG"
    " off, or measure node by node without --per gpu"
)


@dataclass(frozen=True)
class OneGpu:
    """A GPU, by its index of NVML's and by its UUID, by which CUDA selects it."""

    index: int
    uuid: str


def find_gpu(identifier: str) -> OneGpu:
    """The GPU of an index of NVML's or a UUID.

    Raises:
        MeterError: there is none, it is divided, or NVML does not work here.
    """
    import pynvml

    # CUDA_VISIBLE_DEVICES names an instance like this (NVIDIA's MIG user guide).
    if identifier.startswith("MIG-"):
        raise MeterError(f"GPU {identifier[:60]} {_MIG}")
    try:
        start_nvml(pynvml)
        try:
            return _chosen(pynvml, identifier)
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        raise MeterError(f"--per gpu needs NVIDIA GPUs that NVML reads: {error}") from error


def _chosen(nvml: Any, identifier: str) -> OneGpu:
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            uuid = str(optional(nvml, nvml.nvmlDeviceGetUUID, handle))
        except nvml.NVMLError:
            if identifier == str(index):
                raise
            continue  # another one is lost
        if identifier not in (str(index), uuid):
            continue
        mode = optional(nvml, nvml.nvmlDeviceGetMigMode, handle)
        if mode is not None and mode[0] == nvml.NVML_DEVICE_MIG_ENABLE:
            raise MeterError(f"GPU {index} {_MIG}")
        # It becomes CUDA_VISIBLE_DEVICES, in which a comma would name one more GPU.
        if not re.fullmatch(r"GPU-[0-9A-Za-z-]{1,60}", uuid):
            raise MeterError(f"GPU {index} has no UUID by which CUDA could select it")
        return OneGpu(index, uuid)
    raise MeterError(f"NVML knows no GPU {identifier[:60]!r}")


def open_one(identifier: str) -> tuple[Meter, ...]:
    """The meter of one GPU, and the host's domains without a figure.

    Raises:
        MeterError: it cannot be read.
    """
    gpu = find_gpu(identifier)
    try:
        return (open_alone(gpu.index), HostWithheld())
    except MeterUnavailable as error:
        raise MeterError(f"GPU {gpu.index}: {error}") from error


class HostWithheld:
    """The processor beside one of several GPUs: no sum that has it may have a figure."""

    name = "host"
    slow = False
    looks_at_pids = False
    max_interval_s = math.inf

    def __init__(self) -> None:
        self._cpu = unread("host", "cpu:0", "cpu", HOST)
        self.domains: tuple[Domain, ...] = (self._cpu.domain,)

    def read(self) -> list[Reading]:
        """No figure."""
        return [self._cpu.reading()]

    def observe(self, pids: frozenset[int]) -> Observation:
        """Nothing."""
        return Observation()

    def close(self) -> None:
        """Nothing to release."""
