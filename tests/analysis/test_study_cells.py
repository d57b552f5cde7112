from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.analysis.paper import published
from permille.analysis.study_cells import METERED, archive_of, from_trials, pooled, sums
from permille.records.energy import DomainEnergy, Phase, Problem
from permille.records.machine import Environment
from tests.records import ESTIMATED, cell, joules, trial

GROUPS = st.lists(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=6), min_size=1, max_size=6)


@given(GROUPS)
def test_pooling_sums_is_pooling_values(groups: list[list[float]]) -> None:
    values = [v for group in groups for v in group]
    found = pooled([sums(group) for group in groups])
    assert found.n == len(values)
    assert found.mean == pytest.approx(statistics.fmean(values))
    if len(values) > 1:
        assert found.sd == pytest.approx(statistics.stdev(values), abs=1e-6 * found.mean)
    else:
        assert found.sd is None


def test_nothing_cannot_be_pooled() -> None:
    with pytest.raises(ValueError, match="nothing"):
        pooled([])


def gpu_trial(repeat: int, idle_j: float = 30.0) -> Phase:
    return Phase(
        seconds=10.0 + repeat,
        inferences=500,
        domains={
            "cpu:0": joules(5.0),
            "dram:0": joules(10.0, kind="dram", provenance=ESTIMATED),
            "gpu:0": joules(20.0 + repeat, kind="gpu"),
            "gpu:1": joules(idle_j, kind="gpu", in_use=False),
        },
    )


def test_parts_and_boundaries_are_per_1000_inferences() -> None:
    trials = [trial(model="m", repeat=i, phases={"query": gpu_trial(i)}) for i in range(3)]
    (found,) = from_trials(trials).cells
    parts = {part: figure.mean for part, figure in found.parts.items()}
    assert parts == {"cpu": 10, "ram": 20, "active_gpu": 42, "idle_gpus": 60}
    means = {b: energy.mean for b in METERED if (energy := found.energy(b)) is not None}
    assert means == {"accelerator": 42, "compute": 72, "node": 132}
    assert found.energy("facility") == found.energy("node")
    assert found.most_j == 67


def test_a_part_that_one_trial_lacks_is_left_out_not_zero() -> None:
    whole = gpu_trial(0)
    without = Phase(
        seconds=10.0,
        inferences=500,
        domains={k: v for k, v in whole.domains.items() if k != "dram:0"},
    )
    trials = [
        trial(model="m", repeat=0, phases={"query": whole}),
        trial(model="m", repeat=1, phases={"query": without}),
    ]
    (found,) = from_trials(trials).cells
    assert set(found.parts) == {"cpu", "active_gpu", "idle_gpus"}


WALL = ("cpu", "dram", "gpu", "other")


@pytest.mark.parametrize(
    ("domains", "expected"),
    [
        # A meter of the whole machine alone: nothing is told apart.
        ({"wall:0": joules(90.0, "node", covers=WALL)}, {"rest_of_node": 180}),
        # What has a meter of its own is a part of what the wall reads.
        (
            {
                "cpu:0": joules(40.0),
                "gpu:0": joules(20.0, "gpu"),
                "wall:0": joules(90.0, "node", covers=WALL),
            },
            {"cpu": 80, "active_gpu": 40, "rest_of_node": 60},
        ),
        # The platform has no GPU in it; a second socket's platform is added to the first's.
        (
            {
                "cpu:0": joules(10.0),
                "cpu:1": joules(12.0),
                "gpu:0": joules(20.0, "gpu"),
                "psys:0": joules(15.0, "node", covers=("cpu", "dram")),
                "psys:1": joules(17.0, "node", covers=("cpu", "dram")),
            },
            {"cpu": 44, "active_gpu": 40, "rest_of_node": 20},
        ),
        # One that reads less than what is in it is no part of the node's figure.
        (
            {"cpu:0": joules(10.0), "psys:0": joules(5.0, "node", covers=("cpu", "dram"))},
            {"cpu": 20},
        ),
        # A chip's parts of other kinds.
        (
            {"cpu:0": joules(10.0), "ane:0": joules(3.0, "other"), "isp:0": joules(1.0, "other")},
            {"cpu": 20, "other": 8},
        ),
    ],
)
def test_the_parts_of_a_node_are_all_of_its_energy(
    domains: dict[str, DomainEnergy], expected: dict[str, float]
) -> None:
    query = Phase(seconds=10.0, inferences=500, domains=domains)
    (found,) = from_trials([trial(model="m", phases={"query": query})]).cells
    assert {part: figure.mean for part, figure in found.parts.items()} == expected
    energy = found.energy("node")
    assert energy is not None
    assert energy.mean == pytest.approx(sum(expected.values()))


def test_parts_are_of_the_trials_with_a_figure_of_the_node() -> None:
    unread = Phase(
        seconds=10.0,
        inferences=500,
        domains={"cpu:0": joules(50.0)},
        problems={"gpu:0": Problem(reason="the driver has gone", kind="gpu")},
    )
    whole = Phase(
        seconds=10.0,
        inferences=500,
        domains={"cpu:0": joules(5.0), "gpu:0": joules(20.0, "gpu")},
    )
    trials = [
        trial(model="m", repeat=i, phases={"query": phase})
        for i, phase in enumerate((whole, unread))
    ]
    (found,) = from_trials(trials).cells
    assert {part: figure.mean for part, figure in found.parts.items()} == {
        "cpu": 10,
        "active_gpu": 40,
    }


def test_runs_of_unknown_inferences_have_no_figure_but_a_reason() -> None:
    unknown = Phase(seconds=1.0, domains={"cpu:0": joules(1.0)})
    trials = [trial(model="m", inferences=0, phases={"query": unknown})]
    (found,) = from_trials(trials).cells
    assert found.energy("node") is None
    assert found.parts == {}
    assert "--inferences" in str(found.summary.problem)


def test_different_machines_are_different_cells() -> None:
    trials = [trial(), trial(repeat=1, environment=Environment(fingerprint="another"))]
    assert len(from_trials(trials).cells) == 2


def test_the_archive_needs_a_logged_factor_in_every_run() -> None:
    logged = Environment(fingerprint="m", facts={"logged_g_per_kwh": "100"})
    run = trial(3.6e6, environment=logged)
    found = archive_of([run, trial(3.6e6, repeat=1, environment=logged)])
    assert found is not None
    assert (found.runs, found.cpu_kwh, found.gpu_kwh) == (2, 2.0, 0.0)
    assert found.co2e_g == pytest.approx(200)
    assert archive_of([run, trial()]) is None
    assert archive_of([]) is None


# --- the shipped table -----------------------------------------------------------------------


def test_the_shipped_table_is_the_papers_set() -> None:
    study = published.load()
    assert len(study.cells) == 312
    assert {cell_.summary.done for cell_ in study.cells} == {10}
    keys = {
        (c.summary.cell.task, c.summary.cell.dataset, c.summary.cell.model) for c in study.cells
    }
    assert len(keys) == 312
    assert len({model for _, _, model in keys}) == 88
    assert sum(c.summary.quality is not None for c in study.cells) == 144
    assert sum(c.output_length is not None for c in study.cells) == 72
    assert all(c.summary.params for c in study.cells)


def test_the_shipped_components_add_up() -> None:
    for found in published.load().cells:
        node = found.energy("node")
        assert node is not None
        assert math.fsum(part.mean for part in found.parts.values()) == pytest.approx(node.mean)
        active = found.energy("accelerator")
        assert active is not None
        assert active.mean == pytest.approx(found.parts["active_gpu"].mean)


def test_the_shipped_table_names_its_source_and_its_estimates() -> None:
    said = published.about()
    assert "10.1145/3630106.3658542" in said.citation
    assert "MIT" in said.licence
    assert said.metering["accelerator"].provenance == "modelled"
    assert said.metering["node"].provenance == "estimated"
    assert any("estimate" in note for note in said.notes)


def test_summaries_of_every_boundary() -> None:
    node, facility = published.summaries("node"), published.summaries("facility")
    assert [s.energy for s in node] == [s.energy for s in facility]
    assert {s.boundary for s in facility} == {"facility"}
    assert {s.boundary for s in published.summaries("accelerator")} == {"accelerator"}
    estimate = node[0].energy
    assert estimate is not None
    interval = estimate.estimate()
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < interval.value < interval.high


def test_a_row_comes_back_as_it_was_written() -> None:
    before = published.load().cells[0]
    row = published.to_row(before)
    assert published._cell(row, published.about()) == before


def test_a_category_that_is_not_known_stays_so() -> None:
    trials = [trial(cell=cell("m", category="unknown"))]
    study = from_trials(trials)
    assert study.cells[0].summary.cell.category == "unknown"
    assert study.median_kwh == {}
