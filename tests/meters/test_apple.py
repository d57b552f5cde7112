"""Apple silicon: our side of it, over a monitor that answers as zeus-apple-silicon documents.

No Mac was at hand.
"""

from __future__ import annotations

import platform
from types import SimpleNamespace

import pytest

from permille.meters import MeterUnavailable
from permille.meters.apple import AppleMeter, open_meter


class Monitor:
    def __init__(self, **fields: int | None) -> None:
        self.fields = fields
        self.broken = False

    def get_cumulative_energy(self) -> SimpleNamespace:
        if self.broken:
            raise RuntimeError("IOReport sample failed")
        return SimpleNamespace(**self.fields)


def test_parts_of_the_chip() -> None:
    monitor = Monitor(cpu_total_mj=5_000, dram_mj=None, gpu_mj=700, gpu_sram_mj=None, ane_mj=0)
    meter = AppleMeter(monitor)
    assert {r.domain: r.energy_j for r in meter.read()} == {"cpu:0": 5.0, "gpu:0": 0.7, "ane:0": 0}
    assert {domain.provenance for domain in meter.domains} == {"modelled"}
    monitor.fields["gpu_sram_mj"] = 300
    monitor.fields["cpu_total_mj"] = None
    readings = {r.domain: r for r in meter.read()}
    assert readings["gpu:0"].energy_j == 1.0
    assert (readings["cpu:0"].energy_j, readings["cpu:0"].error) == (
        None,
        "its counter has vanished",
    )
    monitor.broken = True
    assert {r.error for r in meter.read()} == {"Apple silicon: IOReport sample failed"}
    meter.close()


def test_of_two_dies_the_processor_has_no_figure() -> None:
    monitor = Monitor(cpu_total_mj=5_000, dram_mj=900, gpu_mj=700, ane_mj=0)
    meter = AppleMeter(monitor, "Apple M2 Ultra")
    readings = {r.domain: r for r in meter.read()}
    assert readings.keys() == {domain.name for domain in meter.domains}
    assert readings["cpu:0"].energy_j is None
    assert "one of this chip's two dies" in (readings["cpu:0"].error or "")
    assert (readings["dram:0"].energy_j, readings["gpu:0"].energy_j) == (0.9, 0.7)
    assert {domain.provenance for domain in meter.domains} == {"modelled"}
    whole = {r.domain: r.energy_j for r in AppleMeter(monitor, "Apple M2 Max").read()}
    assert whole["cpu:0"] == 5.0


def test_a_chip_that_is_not_known() -> None:
    with pytest.raises(MeterUnavailable, match="unknown"):
        AppleMeter(Monitor(cpu_total_mj=None))


@pytest.mark.skipif(platform.system() == "Darwin", reason="this is a Mac")
def test_not_a_mac() -> None:
    with pytest.raises(MeterUnavailable, match="not a Mac"):
        open_meter()
