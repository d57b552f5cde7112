"""The published figures, written out, against the shipped table."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.analysis.paper import published
from permille.analysis.paper.claims import SDXL, claims
from permille.analysis.paper.printed import agreement
from permille.analysis.paper.reproduce import Reproduction, reproduce
from permille.analysis.study_cells import Archive, StudyCells, from_trials
from permille.records.energy import Phase
from permille.records.trial import Protocol
from tests.records import cell, joules, trial

TABLE_2 = {
    "text-classification": (0.002, 0.001),
    "question-answering": (0.003, 0.001),
    "fill-mask": (0.003, 0.001),
    "token-classification": (0.004, 0.002),
    "image-classification": (0.007, 0.001),
    "object-detection": (0.038, 0.02),
    "text-generation": (0.047, 0.03),
    "summarization": (0.049, 0.01),
    "image-to-text": (0.063, 0.02),
    "text-to-image": (2.907, 3.31),
}
TABLE_3 = {
    "google/flan-t5-base": (3.67, 0.026),
    "google/flan-t5-large": (7.68, 0.055),
    "google/flan-t5-xl": (8.08, 0.058),
    "google/flan-t5-xxl": (11.48, 0.083),
    "bigscience/bloomz-560m": (7.5, 0.054),
    "bigscience/bloomz-1b7": (8.66, 0.062),
    "bigscience/bloomz-3b": (10.17, 0.073),
    "bigscience/bloomz-7b1": (14.46, 0.104),
}
TABLE_5 = {
    "bigscience/bloomz-7b1": 592_570_000,
    "bigscience/bloomz-3b": 395_602_740,
    "bigscience/bloomz-1b7": 292_467_741,
    "bigscience/bloomz-560m": 204_592_592,
}


def printed(tables: Reproduction) -> dict[str, Any]:
    """As ``--json`` prints them."""
    return dict(msgspec.json.decode(msgspec.json.encode(tables)))


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return printed(reproduce(published.load()))


def test_the_ten_means_of_table_2(found: dict[str, Any]) -> None:
    rows = {row["task"]: row for row in found["table2"]}
    assert {t: (r["published_kwh"], r["published_sd"]) for t, r in rows.items()} == TABLE_2
    for task, (kwh, _) in TABLE_2.items():
        assert rows[task]["matches"], task
        assert round(rows[task]["kwh"], 3) == kwh
        assert rows[task]["runs"] == 240


def test_the_spread_of_table_2_is_over_runs_rounded_or_cut_off(found: dict[str, Any]) -> None:
    rows = {row["task"]: row for row in found["table2"]}
    assert all(row["sd_matches"] for row in rows.values())
    cut = {task for task, row in rows.items() if row["sd_agreement"] == "cut off"}
    assert cut == {"question-answering", "object-detection", "summarization"}
    images = rows["text-to-image"]
    assert agreement(images["sd_over_models"], "3.31") is None
    assert images["sd"] == pytest.approx(3.308836, abs=1e-6)


def test_the_eight_rows_of_table_3(found: dict[str, Any]) -> None:
    rows = {row["model"]: row for row in found["table3"]}
    published_ = {m: (r["published_co2e_g"], r["published_kwh"]) for m, r in rows.items()}
    assert published_ == TABLE_3
    for model, (grams, kwh) in TABLE_3.items():
        row = rows[model]
        assert row["matches"], model
        assert abs(row["kwh"] - kwh) < 0.001
        assert abs(row["co2e_g"] - grams) < (0.1 if grams == 7.5 else 0.01)
        assert row["runs"] == 90
    assert rows["google/flan-t5-base"]["agreement"] == "cut off"
    assert rows["google/flan-t5-xxl"]["agreement"] == "rounded"


def test_table_4_is_not_invented(found: dict[str, Any]) -> None:
    assert found["table4"]["rows"] == []
    assert "do not include" in found["table4"]["note"]


def test_the_parity_of_table_5(found: dict[str, Any]) -> None:
    rows = {row["model"]: row for row in found["table5"]}
    assert {model: row["published"] for model, row in rows.items()} == TABLE_5
    assert [m for m, row in rows.items() if not row["matches"]] == ["bigscience/bloomz-3b"]
    assert "28,879" in rows["bigscience/bloomz-3b"]["note"]
    for model in TABLE_5.keys() - {"bigscience/bloomz-3b"}:
        assert int(rows[model]["from_rounded"]) == TABLE_5[model]
    assert rows["bigscience/bloomz-7b1"]["from_data"] == pytest.approx(568_377_442, abs=1)


def test_the_claims_and_the_readings_they_follow_from(found: dict[str, Any]) -> None:
    claims = {row["claim"]: row for row in found["claims"]}
    energy = claims["energy of the whole study, kWh"]
    assert (energy["published"], energy["matches"]) == (754.66, True)
    assert "gpu_energy alone" in energy["note"]
    assert "1290.04" in energy["note"]
    carbon = claims["carbon of the whole study, kgCO2e"]
    assert (carbon["published"], carbon["agreement"]) == (178.97, "cut off")
    assert claims["grid intensity, gCO2e/kWh"]["found"] == pytest.approx(138.74, abs=0.01)
    matched = {row["published"] for row in claims.values() if row["matches"]}
    assert matched >= {0.0068, 1.35, 0.042, 0.0023, 11.49, 522, 1594, 4.1, 0.0006}
    unmatched = {row["published"] for row in claims.values() if row["matches"] is False}
    assert unmatched == {297.6, 1450, 6833}
    assert claims["a smartphone charge, kWh"]["found"] is None
    assert all(row["note"] for row in claims.values())


def test_a_study_without_the_cells_has_no_figures() -> None:
    empty = printed(reproduce(StudyCells(cells=(), median_kwh={})))
    assert all(row["kwh"] is None and not row["matches"] for row in empty["table2"])
    assert all(row["kwh"] is None and row["co2e_g"] is None for row in empty["table3"])
    assert all(row["from_data"] is None for row in empty["table5"])
    assert all(row["found"] is None for row in empty["claims"])


def test_a_model_that_needs_nothing_has_no_parity() -> None:
    model = "bigscience/bloomz-560m"
    study = from_trials([trial(0.0, cell=cell(model), model=model)])
    row = next(r for r in printed(reproduce(study))["table5"] if r["model"] == model)
    assert (row["kwh_per_query"], row["from_data"]) == (0.0, None)


def test_an_archive_without_energy_has_no_claims() -> None:
    archive = Archive(runs=1, cpu_kwh=0.0, ram_kwh=0.0, gpu_kwh=0.0, co2e_g=0.0)
    found = claims(StudyCells(cells=(), median_kwh={}, archive=archive))
    assert [one.found for one in found] == [None] * len(found)


def test_a_run_whose_inferences_are_unknown_has_no_energy_per_1000() -> None:
    """Its largest run is known even so: the claim is about both."""
    of = cell(SDXL, dataset="DiffusionDB", task="text-to-image")
    phases = {"query": Phase(seconds=10.0, domains={"cpu:0": joules(36.0)})}
    unknown = trial(cell=of, model=SDXL, phases=phases, protocol=Protocol(inferences=0))
    found = {one.claim: one.found for one in claims(from_trials([unknown]))}
    assert found["least efficient image generation, kWh per 1,000"] is None


def test_trials_without_a_logged_grid_factor_have_no_grams() -> None:
    model = "google/flan-t5-base"
    study = from_trials([trial(36.0, cell=cell(model), model=model)])
    row = next(r for r in printed(reproduce(study))["table3"] if r["model"] == model)
    assert row["kwh"] == pytest.approx(1e-5)
    assert row["co2e_g"] is None
    assert not row["matches"]


@given(st.floats(0, 1e6), st.integers(0, 4))
def test_a_figure_agrees_with_its_own_digits(value: float, digits: int) -> None:
    assert agreement(value, f"{value:.{digits}f}") is not None


@pytest.mark.parametrize(
    ("value", "printed", "how"),
    [
        (0.0265, ".026", "cut off"),
        (0.0265, ".027", "rounded"),
        (0.0265, ".028", None),
        (0.0265, ".025", None),
        (7.53, "7.5", "rounded"),
        (None, "1", None),
        (1e30, "0.026", None),
    ],
)
def test_what_agrees(value: float | None, printed: str, how: str | None) -> None:
    assert agreement(value, printed) == how


def test_the_shipped_figures_need_no_numpy() -> None:
    script = (
        "import sys\n"
        "from permille.analysis.paper.published import load\n"
        "from permille.analysis.paper.reproduce import Reproduction, reproduce\n"
        "reproduce(load())\n"
        "print(sorted({'numpy', 'scipy'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
