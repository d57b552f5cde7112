"""AMD SMI: our side of it, over a module that answers as amdsmi 7.0.2 documents.

No AMD GPU was at hand; the real package cannot be imported without ROCm's library, which is
what the last test sees.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from permille.meters import MeterUnavailable
from permille.meters.amd import open_meter


class LibraryError(Exception):
    pass


class FakeSmi(ModuleType):
    """The functions that permille calls, over dictionaries that a test changes."""

    AmdSmiException = Exception
    AmdSmiLibraryException = LibraryError

    class AmdSmiRetCode:
        STATUS_NOT_SUPPORTED = 2

    def __init__(self) -> None:
        super().__init__("amdsmi")
        self.gpus: list[dict[str, Any]] = [{"count": 1_000_000, "unit": 15.3, "pids": []}]
        self.stopped = 0

    def amdsmi_init(self) -> None:
        if not self.gpus:
            raise LibraryError("Error code:\n\t34 | AMDSMI_STATUS_DRIVER_NOT_LOADED")

    def amdsmi_shut_down(self) -> None:
        self.stopped += 1

    def amdsmi_get_processor_handles(self) -> list[dict[str, Any]]:
        return self.gpus

    def amdsmi_get_energy_count(self, gpu: dict[str, Any]) -> dict[str, Any]:
        if "error" in gpu:
            raise LibraryError(gpu["error"])
        if "count" not in gpu:
            raise LibraryError("not supported")
        return {
            "energy_accumulator": gpu["count"],
            "counter_resolution": gpu["unit"],
            "timestamp": 0,
        }

    def amdsmi_get_power_info(self, gpu: dict[str, Any]) -> dict[str, Any]:
        if "error" in gpu:
            raise LibraryError(gpu["error"])
        return {
            "current_socket_power": gpu.get("current", "N/A"),
            "average_socket_power": gpu.get("power", "N/A"),
        }

    def amdsmi_get_power_cap_info(self, gpu: dict[str, Any]) -> dict[str, Any]:
        return {"max_power_cap": gpu.get("cap", 0)}

    def amdsmi_get_gpu_asic_info(self, gpu: dict[str, Any]) -> dict[str, Any]:
        return {"market_name": "AMD Instinct MI300X"}

    def amdsmi_get_gpu_device_uuid(self, gpu: dict[str, Any]) -> str:
        return "uuid"

    def amdsmi_get_gpu_driver_info(self, gpu: dict[str, Any]) -> dict[str, Any]:
        return {"driver_version": gpu.get("driver", "6.8")}

    def amdsmi_get_gpu_process_list(self, gpu: dict[str, Any]) -> list[dict[str, Any]]:
        if "error" in gpu:
            raise LibraryError(gpu["error"])
        return [{"pid": pid} for pid in gpu["pids"]]

    def amdsmi_get_gpu_activity(self, gpu: dict[str, Any]) -> dict[str, Any]:
        return {"gfx_activity": "N/A"}

    def amdsmi_get_gpu_metrics_info(self, gpu: dict[str, Any]) -> dict[str, Any]:
        return {"throttle_status": gpu.get("throttle", "N/A")}


@pytest.fixture
def smi(monkeypatch: pytest.MonkeyPatch) -> FakeSmi:
    fake = FakeSmi()
    monkeypatch.setitem(sys.modules, "amdsmi", fake)
    return fake


def test_counter(smi: FakeSmi) -> None:
    smi.gpus[0]["cap"] = 750_000_000  # microwatts
    meter = open_meter()
    (domain,) = meter.domains
    assert (domain.name, domain.device) == ("gpu:amd0", "AMD Instinct MI300X")
    assert domain.max_power_w == 1500.0
    assert domain.resolution_j == pytest.approx(15.3e-6)
    assert meter.read()[0].energy_j == pytest.approx(15.3)
    meter.close()
    meter.close()
    assert smi.stopped == 1


def test_power_only_and_a_lost_gpu(smi: FakeSmi) -> None:
    smi.gpus[:] = [{"power": 210, "pids": [1]}]
    meter = open_meter()
    assert "power integrated" in meter.domains[0].accuracy_source
    assert meter.read()[0].power_w == 210
    smi.gpus[0]["error"] = "Error code:\n\t15 | lost"
    (reading,) = meter.read()
    assert (reading.power_w, reading.energy_j) == (None, None)
    assert reading.error == "AMD SMI: Error code: 15 | lost"
    seen = meter.observe(frozenset({1}))
    assert seen.used is None
    assert ("gpu:amd0", "AMD SMI: Error code: 15 | lost") in seen.notices


def test_a_gpu_without_a_figure_is_missed_where_it_is_in_use(smi: FakeSmi) -> None:
    smi.gpus[:] = [{"power": 210, "pids": [77]}, {"pids": [77]}]
    meter = open_meter()
    assert [domain.name for domain in meter.domains] == ["gpu:amd0", "gpu:amd1"]
    lost = meter.read()[1]
    assert (lost.power_w, lost.energy_j) == (None, None)
    assert str(lost.error).startswith("AMD SMI cannot read it: ")
    assert "gpu:amd1" in (meter.observe(frozenset({77})).used or ())
    smi.gpus[1]["error"] = "lost"
    assert meter.observe(frozenset({77})).used is None  # nobody can tell: it counts as in use


def test_a_power_reading_says_what_it_is_and_is_dated_to_its_middle(smi: FakeSmi) -> None:
    smi.gpus[:] = [{"power": 210, "pids": []}, {"current": 300, "pids": []}]
    meter = open_meter()
    average, current = (domain.sensor for domain in meter.domains)
    assert average is not None
    assert (average.window_s, average.sampled) == (5.0, 1.0)
    assert "arXiv:2604.06056" in average.source
    assert current is not None
    assert (current.window_s, current.sampled) == (0.001, 0.01)
    began_ns = time.monotonic_ns()
    of_average, of_current = meter.read()
    passed_ns = time.monotonic_ns() - began_ns
    apart_ns = round(1e9 * (average.lag_s - current.lag_s))
    assert apart_ns - 2 <= of_current.t_ns - of_average.t_ns <= apart_ns + passed_ns


def test_a_current_power_that_goes_is_not_swapped_for_the_average(smi: FakeSmi) -> None:
    smi.gpus[:] = [{"current": 300, "power": 210, "pids": []}]
    meter = open_meter()
    assert meter.read()[0].power_w == 300
    smi.gpus[0]["current"] = "N/A"
    (reading,) = meter.read()
    assert (reading.power_w, reading.error) == (None, "AMD SMI gives no figure")


@pytest.mark.parametrize("power", [0xFFFF, 0xFFFFFFFF, "N/A", 0, -1])
def test_a_power_that_is_not_available_is_none(smi: FakeSmi, power: object) -> None:
    smi.gpus[:] = [{"power": 210, "pids": [1], "cap": 2**64 - 1}]
    meter = open_meter()
    assert meter.domains[0].max_power_w == 1500.0
    smi.gpus[0]["power"] = power
    (reading,) = meter.read()
    assert (reading.power_w, reading.energy_j) == (None, None)
    assert reading.error is not None


def test_a_counter_that_is_not_available_is_none(smi: FakeSmi) -> None:
    smi.gpus[0]["count"] = 2**64 - 1
    smi.gpus[0]["power"] = 210
    meter = open_meter()
    assert meter.read()[0].power_w == 210


def test_use_throttling_identity(smi: FakeSmi) -> None:
    smi.gpus.append({"count": 5, "unit": 15.3, "pids": [77]})
    meter = open_meter()
    seen = meter.observe(frozenset({77}))
    assert seen.used is not None
    assert "gpu:amd1" in seen.used
    smi.gpus[1] |= {"throttle": True, "driver": "6.9"}
    after = meter.observe(frozenset({77}))
    assert ("gpu:amd1", "throttled") in after.notices
    assert after.identity != seen.identity


@pytest.mark.parametrize(
    ("status", "throttled"),
    [
        (True, True),  # amdsmi from 6.3 on
        (False, False),
        ("N/A", False),
        (1 << 16, True),  # before: the bits themselves, or the largest number
        (0, False),
        (2**32 - 1, False),
    ],
)
def test_every_form_of_the_throttle_status_is_read(
    smi: FakeSmi, status: object, throttled: bool
) -> None:
    smi.gpus[0]["throttle"] = status
    notices = open_meter().observe(frozenset()).notices
    assert (("gpu:amd0", "throttled") in notices) is throttled


def test_unavailable(smi: FakeSmi) -> None:
    smi.gpus[:] = [{"pids": []}]  # neither energy nor power
    with pytest.raises(MeterUnavailable, match="no GPU that can be read"):
        open_meter()
    smi.gpus.clear()
    with pytest.raises(MeterUnavailable, match="DRIVER_NOT_LOADED"):
        open_meter()


def test_the_package_without_its_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "amdsmi", raising=False)
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    with pytest.raises(MeterUnavailable, match="AMD SMI") as raised:
        open_meter()
    assert "amd-smi-lib" in raised.value.remedy
    # amdsmi 7.0.2 prints, then fails so, where libamd_smi.so is missing.
    monkeypatch.delitem(sys.modules, "amdsmi")
    (tmp_path / "amdsmi.py").write_text("print('Unable to find'); {}['libamd_smi.so']\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MeterUnavailable, match=r"libamd_smi\.so is missing"):
        open_meter()
    assert capsys.readouterr().out == ""
