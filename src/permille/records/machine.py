"""The machine of a trial, and the sessions in which it measured."""

from __future__ import annotations

from permille.records import Record


class Environment(Record):
    """Hardware and versions. Trials of different fingerprints are not pooled."""

    fingerprint: str
    facts: dict[str, str] = {}


class GpuState(Record):
    """One GPU as a session began. Clocks are those at that moment; None: not readable."""

    name: str
    device: str | None = None
    clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    power_limit_w: float | None = None
    temperature_c: float | None = None


class MachineState(Record):
    """What a machine's energy and speed depend on beyond its hardware and versions, and what may
    differ the next day. None: not readable.

    ``load_1min`` is the load average; ``steal`` the share of CPU time since boot that the
    hypervisor gave to others; ``temperature_c`` that of the hottest processor package.
    """

    kernel: str | None = None
    microcode: str | None = None
    governor: str | None = None
    turbo: bool | None = None
    load_1min: float | None = None
    steal: float | None = None
    temperature_c: float | None = None
    gpu_driver: str | None = None
    gpus: tuple[GpuState, ...] = ()


class MachineSession(Record):
    """Measuring on one boot of one machine without a long break.

    ``machine`` and ``boot`` are digests: the ids themselves are not stored. ``ended`` is when the
    last trial so far ended; ``end_temperature_c`` is the temperature then. ``blocks`` counts the
    blocks begun, which are numbered from 0. ``requested``: begun because the user asked for a new
    session, though the break before it was short.
    """

    id: str
    machine: str | None
    boot: str | None
    started: str  # UTC, ISO 8601
    ended: str  # UTC, ISO 8601
    state: MachineState = MachineState()
    end_temperature_c: float | None = None
    blocks: int = 0
    requested: bool = False
