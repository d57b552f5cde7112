"""``permille export prometheus``: prometheus-client's own parser reads it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from permille.analysis.results import Results
from permille.carbon.settings import resolve
from permille.cli import dispatch
from permille.exporters import ExportRequest
from permille.exporters.prometheus import exporter
from permille.store import Store
from tests.records import cell, trial

HOSTILE = 'evil"} 0\nother{a="\\\x1b[2J'


def test_another_tools_figures_are_told_apart_by_their_batches(tmp_path: Path) -> None:
    store, file = tmp_path / "permille.db", tmp_path / "permille.prom"
    with Store(store) as opened:
        for size in (1, 8):
            of = cell(id=f"batches of {size}", settings={"batch_size": size})
            for repeat in range(2):
                uid = f"{size}-{repeat}"
                opened.add(trial(36.0 / size + repeat, uid=uid, cell=of, source="ml-energy"))
    assert dispatch(["export", "prometheus", str(file), "--store", str(store)]) == 0
    text = file.read_text(encoding="utf-8")
    (figure,) = (
        family
        for family in text_string_to_metric_families(text)
        if family.name == "permille_energy_per_1000_joules"
    )
    assert {s.labels["batch_size"]: s.value for s in figure.samples} == {
        "1": pytest.approx(36.5),
        "8": pytest.approx(5.0),
    }


def test_no_figure_is_no_gauge_and_not_0() -> None:
    class Request:
        def results(self) -> Results:
            return Results.of([], "compute", resolve(), net=False)

    assert exporter.export(cast(ExportRequest, Request())).content == b""


def test_each_figure_is_a_gauge_with_its_interval_and_its_basis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, file = tmp_path / "permille.db", tmp_path / "permille.prom"
    with Store(store) as opened:
        for repeat in range(2):
            opened.add(trial(36.0 + 2 * repeat, model="small", repeat=repeat))
            opened.add(trial(50.0, model=HOSTILE, repeat=repeat))
        opened.add(trial(9.0, model="once"))
    assert dispatch(["export", "prometheus", str(file), "--store", str(store)]) == 0
    assert "1 row is left out: no figure with an interval" in capsys.readouterr().err
    text = file.read_text(encoding="utf-8")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert set(families) == {
        f"permille_energy_per_1000{part}_joules" for part in ("", "_low", "_high")
    }
    value, low, high = (
        {
            sample.labels["model"]: sample
            for sample in families[f"permille_energy_per_1000{part}_joules"].samples
        }
        for part in ("", "_low", "_high")
    )
    assert len(value) == len(low) == len(high) == 2
    assert value["small"].value == pytest.approx(37.0)
    assert low["small"].value < 37.0 < high["small"].value
    assert value["small"].labels["boundary"] == "compute"
    assert value["small"].labels["provenance"] == "measured"
    (hostile,) = (name for name in value if name != "small")
    assert hostile.startswith('evil"} 0 other{a="\\')
    assert "\x1b" not in text
