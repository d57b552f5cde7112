"""AMD GPUs through AMD SMI: the energy counter of each, or its power where it has none.

Needs AMD's ``amdsmi`` package (``pip install permille[amd]``) in the version of the ROCm that is
installed. Domains are ``gpu:amd0``, …, so that a machine with NVIDIA GPUs too has both.
"""

from __future__ import annotations

import contextlib
import io
import math
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from permille.meters import MeterUnavailable, Observation, Reading
from permille.meters.dated import SLOW_LATE_NS, dated
from permille.meters.gpu_limit import MOST_LIMIT_W, max_power_w
from permille.meters.gpu_use import Sight, judge, sees_every_process
from permille.meters.ticks import measure_ticks
from permille.meters.unread import Unread, unread
from permille.records.recording import Domain, PowerSensor, Provenance

# The counter steps every millisecond (MCDANIEL below).
WATCH_S = 0.1
PAUSE_S = 0.001
NOT_AVAILABLE = (2**16 - 1, 2**32 - 1, 2**64 - 1)
COUNTER_ACCURACY = 0.10
COUNTER_SOURCE = "energy counter: AMD publishes no bound; taken as ±10 %"
POWER_ACCURACY = 0.15
POWER_SOURCE = "no energy counter: socket power integrated; AMD publishes no bound; taken as ±15 %"
AVERAGE_KEY = "average_socket_power"
POWER_KEYS = ("current_socket_power", AVERAGE_KEY, "socket_power")
"""amdsmi.h: the current power of the MI300 and later, the average of Navi, the MI200 and earlier;
``socket_power`` is one of them in some versions, and the only one in others."""
MCDANIEL = "McDaniel et al., ISC 2026, arXiv:2604.06056"
POLL_S = 0.1
"""How often power is read: more often than it is renewed would take no better reading, and the
recorder reads ten times a second."""
AVERAGE = PowerSensor(
    window_s=5.0,
    period_s=POLL_S,
    source="average socket power: a moving average of undocumented length, which takes a few"
    f" seconds from idle to full power on an MI250X ({MCDANIEL}); taken as 5 s, for other GPUs too",
)
CURRENT = PowerSensor(
    window_s=0.001,
    period_s=POLL_S,
    sampled=0.01,
    source="current socket power, which AMD calls instant power: AMD states no window; taken as the"
    f" 1 ms after which an MI300A renews it ({MCDANIEL}), of every 0.1 s",
)

_REMEDY = (
    "if there is an AMD GPU, install ROCm's amd-smi-lib and the amdsmi package of its version "
    "(`pip install permille[amd]`)"
)


def open_meter() -> AmdMeter:
    """Every AMD GPU. Watches the counters for up to 0.1 s to measure their tick.

    Raises:
        MeterUnavailable: no package, no library, no GPU.
    """
    said = io.StringIO()
    try:
        # Without its library the package prints, then fails with a KeyError.
        with contextlib.redirect_stdout(said):
            import amdsmi
    except ImportError as error:
        raise MeterUnavailable(f"AMD SMI: {error}", _REMEDY) from error
    except (KeyError, AttributeError, OSError) as error:
        raise MeterUnavailable("AMD SMI: libamd_smi.so is missing or too old", _REMEDY) from error
    try:
        amdsmi.amdsmi_init()
    except amdsmi.AmdSmiException as error:
        raise MeterUnavailable(f"AMD SMI: {_one_line(error)}", _REMEDY) from error
    gpus: list[AmdGpu] = []
    problems: list[str] = []
    lost: list[LostGpu] = []
    try:
        for index, handle in enumerate(amdsmi.amdsmi_get_processor_handles()):
            try:
                gpus.append(_gpu(amdsmi, index, handle))
            except amdsmi.AmdSmiException as error:
                name, reason = f"gpu:amd{index}", f"AMD SMI cannot read it: {_one_line(error)}"
                problems.append(f"{name}: {reason}")
                lost.append(LostGpu(handle, unread("amd", name, "gpu", f"{reason}; {_REMEDY}")))
    except amdsmi.AmdSmiException as error:
        problems.append(_one_line(error))
    if not gpus:
        with contextlib.suppress(amdsmi.AmdSmiException):
            amdsmi.amdsmi_shut_down()
        raise MeterUnavailable(
            "AMD SMI finds no GPU that can be read: " + "; ".join(problems), present=bool(problems)
        )
    return AmdMeter(amdsmi, gpus, lost)


@dataclass
class AmdGpu:
    """One GPU: its handle and how its energy is read. ``power_key``: which of AMD SMI's powers is
    read, and never another one; None: the energy counter."""

    handle: Any
    domain: Domain
    power_key: str | None
    uuid: str

    @property
    def lag_ns(self) -> int:
        """How long before it is read lies the middle of what a reading describes."""
        sensor = self.domain.sensor
        # Not sensor.lag_s: the GPU renews its power every millisecond, so a reading is not old when
        # it is taken. period_s is how often permille reads it.
        return 0 if sensor is None else round(1e9 * sensor.window_s / 2)


class LostGpu(NamedTuple):
    """A GPU without a figure, and its handle, which may still list its processes."""

    handle: Any
    unread: Unread


class AmdMeter:
    """The AMD GPUs of this machine."""

    name = "amd"
    slow = False
    max_interval_s = math.inf  # the counter has 64 bits

    def __init__(self, smi: Any, gpus: list[AmdGpu], lost: list[LostGpu]) -> None:
        import msgspec

        self._smi = smi
        self._gpus = gpus
        self._lost = lost
        self._open = True
        ticks = measure_ticks(self._values, WATCH_S, PAUSE_S)
        for gpu, tick_s in zip(gpus, ticks, strict=True):
            gpu.domain = msgspec.structs.replace(gpu.domain, tick_s=tick_s)
        self.domains = (*(gpu.domain for gpu in gpus), *(one.unread.domain for one in lost))

    def _values(self) -> list[float | None]:
        return [r.energy_j if r.power_w is None else r.power_w for r in self._figures()]

    def read(self) -> list[Reading]:
        """Read every GPU; unreadable ones get an error."""
        return [*self._figures(), *(one.unread.reading() for one in self._lost)]

    def _figures(self) -> list[Reading]:
        readings = []
        for gpu in self._gpus:
            name = gpu.domain.name
            try:
                read_ns, value = dated(partial(_value, self._smi, gpu), SLOW_LATE_NS)
            except self._smi.AmdSmiException as error:
                said = f"AMD SMI: {_one_line(error)}"
                readings.append(Reading(name, time.monotonic_ns(), error=said))
                continue
            t_ns = read_ns - gpu.lag_ns
            if value is None:
                readings.append(Reading(name, t_ns, error="AMD SMI gives no figure"))
            elif gpu.power_key is None:
                readings.append(Reading(name, t_ns, energy_j=value))
            else:
                readings.append(Reading(name, t_ns, power_w=value))
        return readings

    def observe(self, pids: frozenset[int]) -> Observation:
        """The GPUs used by ``pids``, other tenants, throttling, lost GPUs."""
        notices: list[tuple[str | None, str]] = []
        sights, identity = [], []
        for gpu in self._gpus:
            name = gpu.domain.name
            try:
                sights.append(self._sight(name, gpu.handle))
                if self._throttled(gpu):
                    notices.append((name, "throttled"))
                driver = self._smi.amdsmi_get_gpu_driver_info(gpu.handle)
                identity.append(f"{driver.get('driver_version')} {gpu.uuid}")
            except self._smi.AmdSmiException as error:
                sights.append(Sight(name, None, None))  # lost, not idle
                notices.append((name, f"AMD SMI: {_one_line(error)}"))
                # Another identity: if the GPU comes back, its counter may have started anew.
                identity.append(f"? {gpu.uuid}")
        for one in self._lost:
            name = one.unread.domain.name
            try:
                sights.append(self._sight(name, one.handle))
            except self._smi.AmdSmiException:
                sights.append(Sight(name, None, None))
        used, said = judge(sights, pids, sees_every_process())
        return Observation(used, (*notices, *said), " ".join(identity))

    def close(self) -> None:
        """Shut AMD SMI down."""
        if self._open:
            self._open = False
            with contextlib.suppress(self._smi.AmdSmiException):
                self._smi.amdsmi_shut_down()

    def _sight(self, name: str, handle: Any) -> Sight:
        processes = self._smi.amdsmi_get_gpu_process_list(handle)
        busy = _number(self._smi.amdsmi_get_gpu_activity(handle).get("gfx_activity"))
        found = frozenset(int(process["pid"]) for process in processes)
        return Sight(name, found, None if busy is None else busy > 0)

    def _throttled(self, gpu: AmdGpu) -> bool:
        metrics = self._smi.amdsmi_get_gpu_metrics_info(gpu.handle)
        status = metrics.get("throttle_status")
        # A truth value from amdsmi 6.3 on; before, a number with a bit for each cause.
        return status is True or bool(_available(status))


def _gpu(smi: Any, index: int, handle: Any) -> AmdGpu:
    try:
        counter = _counter_j(smi, handle) is not None
    except smi.AmdSmiLibraryException:
        counter = False  # not supported on this GPU, or in a virtual machine
    key = None if counter else _power_key(smi, handle)
    if not counter and key is None:
        raise smi.AmdSmiLibraryException(smi.AmdSmiRetCode.STATUS_NOT_SUPPORTED)
    bound = COUNTER_ACCURACY if counter else POWER_ACCURACY
    domain = Domain(
        name=f"gpu:amd{index}",
        kind="gpu",
        meter="amd",
        provenance=Provenance.MEASURED,
        accuracy_low=bound,
        accuracy_high=bound,
        accuracy_source=COUNTER_SOURCE if counter else POWER_SOURCE,
        resolution_j=_resolution_j(smi, handle) if counter else None,
        max_power_w=_max_power_w(smi, handle),
        device=str(smi.amdsmi_get_gpu_asic_info(handle).get("market_name")),
        sensor=None if key is None else AVERAGE if key == AVERAGE_KEY else CURRENT,
    )
    return AmdGpu(handle, domain, key, str(smi.amdsmi_get_gpu_device_uuid(handle)))


def _counter_j(smi: Any, handle: Any) -> float | None:
    """Counts times microjoules per count; None if the answer has another form."""
    answer = smi.amdsmi_get_energy_count(handle)
    counts = _available(answer.get("energy_accumulator"))
    unit_uj = _number(answer.get("counter_resolution"))
    return None if counts is None or not unit_uj else counts * unit_uj / 1e6


def _resolution_j(smi: Any, handle: Any) -> float:
    return float(smi.amdsmi_get_energy_count(handle)["counter_resolution"]) / 1e6


def _value(smi: Any, gpu: AmdGpu) -> float | None:
    """Joules of the counter, or watts; None if there is no figure."""
    if gpu.power_key is None:
        return _counter_j(smi, gpu.handle)
    return _power_w(smi.amdsmi_get_power_info(gpu.handle), gpu.power_key)


def _power_key(smi: Any, handle: Any) -> str | None:
    """The first of AMD SMI's powers that this GPU has, or None."""
    answer = smi.amdsmi_get_power_info(handle)
    return next((key for key in POWER_KEYS if _power_w(answer, key) is not None), None)


def _power_w(answer: dict[str, Any], key: str) -> float | None:
    # A GPU never draws 0 W: models without that sensor report 0.
    return _available(answer.get(key)) or None


def _max_power_w(smi: Any, handle: Any) -> float:
    try:
        cap = _available(smi.amdsmi_get_power_cap_info(handle).get("max_power_cap"))
    except smi.AmdSmiLibraryException:
        cap = None
    if not cap:
        return max_power_w(0.0)
    # Microwatts, but watts in some versions: no GPU draws 10 kW, none is capped at 10 mW.
    return max_power_w(cap / 1e6 if cap > MOST_LIMIT_W else cap)


def _available(value: Any) -> float | None:
    """A number like :func:`_number`, unless it is the largest of its field, which means that there
    is none (amdsmi.h: UINT16_MAX, UINT32_MAX or UINT64_MAX where it is not supported)."""
    return None if value in NOT_AVAILABLE else _number(value)


def _number(value: Any) -> float | None:
    """A finite number from 0 up; None for "N/A" and other values."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
