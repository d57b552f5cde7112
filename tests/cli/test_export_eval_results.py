"""``permille export eval-results``: huggingface_hub reads the entry, and the benchmark is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from permille.cli import dispatch
from permille.errors import UsageError
from permille.store import Store
from permille.units import joules_from_kwh, kwh_from_wh
from tests.records import cell, trial

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry

HOSTILE = "evil: [}\n---\n\x1b[2J!!python/object:os.system"
BENCHMARK = ("--benchmark", "our-lab/energy:wh-per-1000")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "permille.db"
    replica = cell("replica", settings={"weights": "replica"})
    hostile = cell("hostile", dataset=HOSTILE)
    with Store(path) as opened:
        for repeat in range(2):
            day = f"2026-01-0{repeat + 1}T00:00:00+00:00"
            opened.add(trial(36.0 + repeat, model="small", repeat=repeat, started=day))
            opened.add(trial(7.0, uid=f"r{repeat}", repeat=repeat, cell=replica))
            opened.add(trial(8.0, uid=f"h{repeat}", repeat=repeat, cell=hostile))
            opened.add(trial(9.0, model="undated", repeat=repeat, started="never"))
        opened.add(trial(9.0, model="once"))
    return path


def export(store: Path, *options: str) -> EvalResultEntry:
    from huggingface_hub import parse_eval_result_entries

    file = store.parent / "e.yaml"
    assert dispatch(["export", "eval-results", str(file), *options, "--store", str(store)]) == 0
    (entry,) = parse_eval_result_entries(yaml.safe_load(file.read_text(encoding="utf-8")))
    return entry


def test_the_hubs_library_reads_the_energy_with_its_basis(store: Path) -> None:
    entry = export(store, "--model", "small", *BENCHMARK, "--link", "https://example.org/runs")
    assert (entry.dataset_id, entry.task_id) == ("our-lab/energy", "wh-per-1000")
    assert joules_from_kwh(kwh_from_wh(entry.value)) == pytest.approx(36.5)
    assert (entry.date, entry.source_url) == ("2026-01-02", "https://example.org/runs")
    assert entry.notes is not None
    for part in ("small: 10.1 mWh, 95 % interval [", "compute; measured", "2 trials"):
        assert part in entry.notes


def test_a_hostile_name_is_text(store: Path) -> None:
    entry = export(store, "--model", "hostile", *BENCHMARK)
    assert "on evil: [} ---  [2J!!python" in (entry.notes or "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "small"), "name the benchmark"),
        (("--model", "small", "--benchmark", "energy:wh"), "not complete"),
        (("--model", "small", "--benchmark", "a/b"), "not complete"),
        (("--model", "small", "--benchmark", "a/b:"), "not complete"),
        (("--model", "small", "--benchmark", "../x/y:z"), "names no dataset"),
        (("--model", "once", *BENCHMARK), "no interval"),
        (("--model", "undated", *BENCHMARK), "no date"),
        (("--model", "replica", *BENCHMARK), "with other weights"),
        (BENCHMARK, "is of one"),
    ],
)
def test_what_is_no_score_is_refused(store: Path, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        export(store, *options)
    assert not (store.parent / "e.yaml").exists()


def test_other_formats_have_no_benchmark(store: Path) -> None:
    with pytest.raises(UsageError, match="csv has no --benchmark"):
        dispatch(["export", "csv", "a.csv", *BENCHMARK, "--store", str(store)])
