"""Which domains count, and that a failed meter never looks like free energy."""

from __future__ import annotations

import pytest

from permille.analysis.boundaries import Bounded, unusable, within
from permille.records.energy import Boundary, DomainEnergy, Phase, Problem, Refused
from permille.records.recording import Provenance
from tests.records import ESTIMATED, joules

NODE_OF_TWO_GPUS = {
    "cpu:0": joules(100.0),
    "dram:0": joules(20.0, "dram"),
    "gpu:0": joules(300.0, "gpu"),
    "gpu:1": joules(55.0, "gpu", in_use=False),
}


def phase(domains: dict[str, DomainEnergy], **problems: Problem) -> Phase:
    return Phase(
        seconds=1.0,
        domains=domains,
        problems={name.replace("_", ":"): problem for name, problem in problems.items()},
    )


def sum_of(found: Bounded | Refused) -> float:
    assert isinstance(found, Bounded), found
    return found.energy_j


@pytest.mark.parametrize(
    ("boundary", "expected"),
    [("accelerator", 300.0), ("compute", 420.0), ("node", 475.0), ("facility", 475.0)],
)
def test_the_four_boundaries_of_a_node_with_an_idle_gpu(
    boundary: Boundary, expected: float
) -> None:
    assert sum_of(within(phase(NODE_OF_TWO_GPUS), boundary)) == pytest.approx(expected)


def test_without_a_gpu_the_device_in_use_is_the_cpu() -> None:
    cpu_only = phase({"cpu:0": joules(100.0), "dram:0": joules(20.0, "dram")})
    assert sum_of(within(cpu_only, "accelerator")) == 100.0
    assert sum_of(within(cpu_only, "compute")) == 120.0


def test_a_meter_of_the_node_is_not_added_to_what_it_covers() -> None:
    psys = joules(150.0, "node", covers=("cpu", "dram"))
    domains = {**NODE_OF_TWO_GPUS, "psys": psys}
    assert sum_of(within(phase(domains), "node")) == pytest.approx(150.0 + 300.0 + 55.0)
    assert sum_of(within(phase(domains), "compute")) == pytest.approx(420.0)
    wall = joules(600.0, "node", covers=("cpu", "dram", "gpu", "node", "other"))
    assert sum_of(within(phase({**domains, "wall": wall}), "node")) == 600.0


@pytest.mark.parametrize("psys_j", [0.2, 50.0, 119.0])
def test_a_whole_below_its_parts_is_left_out_and_said(psys_j: float) -> None:
    psys = joules(psys_j, "node", covers=("cpu", "dram"))
    found = within(phase({**NODE_OF_TWO_GPUS, "psys": psys}), "node")
    assert isinstance(found, Bounded)
    assert found.energy_j == pytest.approx(475.0)
    assert "psys" not in found.domains
    assert "less than the 120 J of the domains that it covers" in found.note
    assert "no meter of the whole node" in found.note


def test_a_wall_meter_below_its_parts_leaves_the_platforms_figure() -> None:
    psys = joules(150.0, "node", covers=("cpu", "dram"))
    wall = joules(140.0, "node", covers=("cpu", "dram", "gpu", "node", "other"), meter="wall")
    found = within(phase({**NODE_OF_TWO_GPUS, "psys": psys, "node": wall}), "node")
    assert isinstance(found, Bounded)
    assert found.energy_j == pytest.approx(150.0 + 300.0 + 55.0)
    assert found.note.startswith("node reads 140 J")


def test_platform_zones_of_two_sockets_are_one_whole_or_none() -> None:
    domains = {
        "cpu:0": joules(50.0),
        "cpu:1": joules(50.0),
        "psys": joules(80.0, "node", covers=("cpu", "dram")),
        "psys:1": joules(80.0, "node", covers=("cpu", "dram")),
    }
    assert sum_of(within(phase(domains), "node")) == pytest.approx(160.0)
    assert sum_of(within(phase(domains), "compute")) == pytest.approx(100.0)
    del domains["psys:1"]
    domains["psys"] = joules(180.0, "node", covers=("cpu", "dram"))
    one_lost = phase(domains, psys_1=Problem(reason="rapl hangs", kind="node"))
    assert within(one_lost, "node") == Refused(reason="psys:1: rapl hangs")


def test_the_sum_of_what_is_metered_says_that_it_is_no_whole_node() -> None:
    found = within(phase(NODE_OF_TWO_GPUS), "node")
    assert isinstance(found, Bounded)
    assert "no meter of the whole node" in found.note


def test_a_failed_domain_inside_the_boundary_leaves_no_figure() -> None:
    lost = phase({"cpu:0": joules(100.0)}, gpu_0=Problem(reason="GPU is lost", kind="gpu"))
    for boundary in ("accelerator", "compute", "node"):
        assert within(lost, boundary) == Refused(reason="gpu:0: GPU is lost")
    assert unusable(lost) == "gpu:0: GPU is lost"


def test_a_failed_idle_gpu_does_not_void_the_devices_in_use() -> None:
    idle_lost = phase(
        {"cpu:0": joules(100.0), "gpu:0": joules(300.0, "gpu")},
        gpu_1=Problem(reason="GPU is lost", kind="gpu", in_use=False),
    )
    assert sum_of(within(idle_lost, "compute")) == 400.0
    assert within(idle_lost, "node") == Refused(reason="gpu:1: GPU is lost")
    assert unusable(idle_lost) is None


def test_only_a_wall_meter_leaves_compute_unknown() -> None:
    wall = phase({"node": joules(600.0, "node", covers=("cpu", "dram", "gpu"))})
    assert isinstance(within(wall, "compute"), Refused)
    assert sum_of(within(wall, "node")) == 600.0
    assert unusable(wall) is None


def test_nothing_metered_is_no_zero() -> None:
    assert within(phase({}), "node") == Refused(reason="nothing was metered")


def test_a_sum_takes_the_provenance_of_its_weakest_significant_domain() -> None:
    def provenance(dram_j: float) -> Provenance:
        dram = joules(dram_j, "dram", provenance=ESTIMATED)
        found = within(phase({"cpu:0": joules(100.0), "dram:0": dram}), "compute")
        assert isinstance(found, Bounded)
        return found.provenance

    assert provenance(1.0) is Provenance.MEASURED
    assert provenance(20.0) is Provenance.ESTIMATED


def test_accuracies_add_up_and_edges_combine_in_quadrature() -> None:
    domains = {
        "cpu:0": joules(100.0, accuracy_low=0.05, accuracy_high=0.05, edge_j=3.0),
        "dram:0": joules(20.0, "dram", accuracy_low=0.1, accuracy_high=0.2, edge_j=4.0),
    }
    found = within(phase(domains), "compute")
    assert isinstance(found, Bounded)
    assert (found.low_j, found.high_j) == pytest.approx((7.0, 9.0))
    assert found.edge_j == pytest.approx(5.0)


def test_many_small_estimates_weigh_as_one() -> None:
    def provenance(share: float) -> Provenance:
        small = {f"other:{i}": joules(share, "cpu", provenance=ESTIMATED) for i in range(3)}
        found = within(phase({"cpu:0": joules(100.0), **small}), "compute")
        assert isinstance(found, Bounded)
        return found.provenance

    assert provenance(1.0) == "measured"  # 3 % of it
    assert provenance(2.0) == "estimated"  # 6 %, though none is 5 % by itself
