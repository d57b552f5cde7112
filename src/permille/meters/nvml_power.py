"""What NVIDIA's power readings are: averaged over what, renewed how often, seen how much of it.

NVML states only the one-second average. The rest was found by Yang, Adamek and Armour with steps
and square waves of load on more than 70 GPUs; of a part of these the data are published. Where
neither says anything, the source says so.
"""

from __future__ import annotations

from typing import Any, Literal

from permille.records.recording import PowerSensor

Source = Literal["counter", "instant", "power"]
"""Where a GPU's figures come from: its energy counter, the field POWER_INSTANT (drivers from 530
on), or nvmlDeviceGetPowerUsage, which is an average on most GPUs from Ampere on."""

YANG = "Yang et al., SC24, arXiv:2312.02741"
DATA = "github.com/JimZeyuYang/GPU_Power_Benchmark, plotting/data"
"""Where the data behind the figures of Yang et al. are published."""
QUARTER = (
    f"{YANG}: on the A100 and H100 a quarter of the time is sampled, which is 25 ms of an update"
    " every 0.1 s; fitted on an A100"
)
ONE_PERIOD = (
    f"{YANG}: 0.1 s fitted on an RTX 3090 ({DATA}/violin_plot), and an RTX 4090 follows a step of"
    " load within three updates of 0.1 s (Transient_Response); taken for the others of these"
    " generations"
)
HALF = (
    f"{YANG}: a window of 11 ms fitted on a GTX 1080 Ti ({DATA}/loss_func), and a V100 is updated"
    " every 20 ms (V100/find_pwr_update_freq); taken for both generations"
)
SLOWEST = "not published here: taken as one period of 0.1 s"
PERIOD_S = 0.1
AVERAGE_S = 1.0
PASCAL_PERIOD_S, PASCAL_SAMPLED = 0.02, 0.5
GA100, HOPPER = (8, 0), (9, 0)
AMPERE = (8, 0)
MAXWELL, PASCAL, TURING = (5, 0), (6, 0), (7, 5)

ACCURACY_LOW, ACCURACY_HIGH = 0.05, 0.07
OFFSET_W, SERVER_OFFSET_W = 10.0, 7.0
"""The sensor's gain (relative) and offset (k = 2). NVIDIA states ±5 % for Fermi and Kepler and
nothing since. Yang et al. published the gain and offset of 19 cards beside an external meter: gains
from −9.5 to +6.4 %, offsets from −12 to +12 W; a high gain mostly comes with a low offset. These
bounds hold all 19 from 100 W on, and 18 at 60 W. The server boards among them (K40m, K80, M40,
P100, A100) have offsets from −6.3 to +1.4 W. An energy counter is fed by the same sensor."""
SERVER = ((6, 0), (7, 0), (8, 0), (9, 0), (10, 0))
GAIN_SOURCE = f"−5 to +7 % for the sensor's gain, and its offset: readings of 19 cards ({YANG})"


def offset_w(capability: tuple[int, int] | None) -> float:
    """Greatest constant error (watts, k = 2) of a GPU of this compute capability."""
    return SERVER_OFFSET_W if capability in SERVER else OFFSET_W


def sensor(capability: tuple[int, int] | None, source: Source) -> PowerSensor | None:
    """How a reading of ``source`` is made on GPUs of a compute capability (None: not known).

    None for a counter.
    """
    if source == "counter":
        return None
    averaged = source == "power" and (capability is None or capability >= AMPERE)
    if averaged and capability != GA100:
        return PowerSensor(
            window_s=AVERAGE_S,
            period_s=PERIOD_S,
            source="NVML API reference, nvmlDeviceGetPowerUsage: from Ampere on, GA100 excepted,"
            " averaged over one second",
        )
    if capability in (GA100, HOPPER):
        return PowerSensor(window_s=0.025, period_s=PERIOD_S, sampled=0.25, source=QUARTER)
    if capability is None or capability > HOPPER:
        return PowerSensor(
            window_s=PERIOD_S,
            period_s=PERIOD_S,
            sampled=0.25,
            source="not published for this GPU: taken as bad as the worst",
        )
    if capability >= AMPERE:
        return PowerSensor(window_s=PERIOD_S, period_s=PERIOD_S, source=ONE_PERIOD)
    if capability < MAXWELL:
        return PowerSensor(
            window_s=AVERAGE_S,
            period_s=PERIOD_S,
            source="slow to follow the load (Burtscher et al., GPGPU-7, 2014): taken as an average"
            " over one second",
        )
    if PASCAL <= capability < TURING:
        return PowerSensor(
            window_s=PASCAL_SAMPLED * PASCAL_PERIOD_S,
            period_s=PASCAL_PERIOD_S,
            sampled=PASCAL_SAMPLED,
            source=HALF,
        )
    return PowerSensor(window_s=PERIOD_S, period_s=PERIOD_S, source=SLOWEST)


def instant_mw(nvml: Any, handle: Any) -> int | None:
    """Milliwatts of the field POWER_INSTANT, or None where the GPU or driver lacks it.

    Raises:
        pynvml.NVMLError: it is there, and could not be read.
    """
    absent = (nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_INVALID_ARGUMENT)
    try:
        field = nvml.nvmlDeviceGetFieldValues(handle, [nvml.NVML_FI_DEV_POWER_INSTANT])[0]
    except (
        nvml.NVMLError_NotSupported,
        nvml.NVMLError_FunctionNotFound,
        nvml.NVMLError_InvalidArgument,
    ):
        return None
    if field.nvmlReturn in absent:
        return None
    if field.nvmlReturn != nvml.NVML_SUCCESS:
        raise nvml.NVMLError(field.nvmlReturn)
    return int(field.value.uiVal)
