"""``results`` and ``compare`` on a fresh machine: the study that ships answers, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from permille.cli.source import refuse_unmatched
from permille.errors import UsageError
from permille.records.answers import Quality
from permille.store import Store
from tests.conftest import Permille
from tests.records import cell, trial

pytestmark = pytest.mark.slow


def test_without_a_store_the_shipped_study_answers_and_says_so(permille: Permille) -> None:
    finished = permille("results")
    assert "ship with permille" in finished.err.splitlines()[-1]
    found = permille("results", "--json", "--study", "power-hungry-2023").json
    assert found["boundary"] == "node"
    assert len(found["rows"]) == 312
    assert {row["source"] for row in found["rows"]} == {"power-hungry-2023"}
    assert all(row["trials"]["done"] == 10 for row in found["rows"])


@pytest.mark.parametrize(
    "command", [["results", "--json"], ["compare", "a", "b", "--json"], ["export", "csv", "-"]]
)
def test_a_program_is_not_given_the_shipped_study_unless_it_asks(
    permille: Permille, command: list[str]
) -> None:
    finished = permille(*command, code=2)
    assert "--study power-hungry-2023" in finished.err
    assert not finished.out


def test_a_study_that_is_not_there_is_named_with_what_was_meant(
    permille: Permille, store: Path
) -> None:
    (name,) = {row["study"] for row in permille("results", "--json").json["rows"]}
    for command in (["results"], ["results", "--json"], ["export", "csv", "-"]):
        finished = permille(*command, "--study", name + "x", code=2)
        assert f"no study '{name}x' in permille.db; did you mean '{name}'?" in finished.err
    finished = permille("export", "codecarbon", "-", "--study", "zzz", code=2)
    assert f"available: {name}" in finished.err
    assert "no store at o.db" in permille("results", "--store", "o.db", "--study", "a", code=2).err


def test_a_task_without_results_is_answered_with_what_was_meant(
    permille: Permille, store: Path
) -> None:
    for form in ([], ["--json"]):
        finished = permille("results", "--task", "text-clasification", *form, code=2)
        assert "'text-clasification'; did you mean 'text-classification'?" in finished.err
        assert not finished.out


def test_damage_is_told_before_a_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="no results of the model 'small'; did you mean 'smell'"):
        refuse_unmatched("model", "small", ["smell", "smell"], ["trial 1: damaged"])
    assert "left out of these figures: trial 1: damaged" in capsys.readouterr().err


def test_an_option_given_twice_is_refused(permille: Permille, store: Path) -> None:
    finished = permille("results", "--store", "permille.db", "--store", "b.db", code=2)
    assert "argument --store: given more than once" in finished.err


def test_a_store_that_was_named_and_is_not_there_is_an_error(permille: Permille) -> None:
    finished = permille("results", "--store", "absent.db", code=2)
    assert "no store at absent.db" in finished.err
    permille("results", "--store", "absent.db", "--study", "power-hungry-2023")


@pytest.mark.parametrize("boundary", ["accelerator", "compute", "node", "facility"])
def test_the_shipped_study_within_every_boundary(permille: Permille, boundary: str) -> None:
    found = permille(
        "results", "--study", "power-hungry-2023", "--boundary", boundary, "--pue", "1.2",
        "--intensity", "100", "--json",
    ).json  # fmt: skip
    kwh = {(r["task"], r["dataset"], r["model"]): r["kwh_per_1000"] for r in found["rows"]}
    for figure in kwh.values():
        assert 0 <= figure["low"] < figure["value"] < figure["high"]
    sdxl = kwh["text-to-image", "DiffusionDB", "stabilityai/stable-diffusion-xl-base-1.0"]
    # The largest run of SDXL is the paper's 11.49 kWh; its mean lies below.
    most = {"accelerator": 0.4, "compute": 0.8, "node": 1.0, "facility": 1.2}[boundary] * 11.49
    least = {"accelerator": 0.2, "compute": 0.5, "node": 0.97, "facility": 1.17}[boundary] * 11.49
    assert least < sdxl["value"] < most


def test_models_of_the_study_are_compared_where_they_share_a_dataset(permille: Permille) -> None:
    shipped = ["--study", "power-hungry-2023"]
    found = permille(
        "compare", "flan-t5-xxl", "distilbert-base-uncased-finetuned", "--json", *shipped
    ).json
    assert found["a"] == "google/flan-t5-xxl"
    assert {cell["dataset"] for cell in found["cells"]} == {"IMDB", "Rotten Tomatoes", "SST2"}
    assert found["ratio"]["low"] < found["ratio"]["value"] < found["ratio"]["high"]
    # The constants of the log are one error on both sides: most of it cancels.
    assert found["ratio"]["high"] < 1.5 * found["ratio"]["value"]
    finished = permille("compare", "flan-t5-xxl", "stable-diffusion-xl", code=2)
    assert "never run on the same task and dataset" in finished.err


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two models on one dataset, one beaten in both."""
    path = tmp_path / "permille.db"
    quality = {"small": 0.9, "large": 0.8}
    with Store(path) as opened:
        for model, energy_j in (("small", 36.0), ("large", 360.0)):
            for repeat in range(3):
                score = Quality(metric="accuracy", value=quality[model], n=100)
                opened.add(
                    trial(energy_j + repeat, model=model, repeat=repeat, quality=score, idle_j=10.0)
                )
    return path


def test_what_was_asked_stands_beside_the_carbon(permille: Permille, store: Path) -> None:
    found = permille(
        "results", "--json", "--intensity", "1000", "--market-intensity", "100",
        "--embodied-kg", "1000", "--lifespan-years", "4",
    ).json  # fmt: skip
    small, large = found["rows"]
    assert (small["pareto"], large["pareto"]) == (True, False)
    grams = small["co2e_g_per_1000"]["value"]
    assert grams == pytest.approx(37.0 / 3.6e6 * 1000)
    assert small["market_co2e_g_per_1000"] == pytest.approx(grams / 10)
    # 1000 kg over 4 years: 28.5 g an hour; the 1,000 inferences took 10 s.
    assert small["sci"]["embodied_g"] == pytest.approx(28.5 * 10 / 3600, rel=0.01)
    assert small["sci"]["g_per_1000"] == pytest.approx(grams + small["sci"]["embodied_g"])
    assert small["equivalents"]["smartphone charges"] == pytest.approx(37.0 / 3.6e6 / 0.022)


def test_the_table_shows_the_front_and_the_grid(permille: Permille, store: Path) -> None:
    out = permille("results", "--region", "FRA", "--explain").out
    assert "accuracy 90.0 [82.6, 94.5] %*" in " ".join(out.split())
    assert "France" in out
    assert "spread of 3 trials" in out


def test_the_table_begins_with_the_least_energy(permille: Permille, tmp_path: Path) -> None:
    with Store(tmp_path / "permille.db") as opened:
        opened.add(trial(model="broken", status="failed", reason="it fell over", phases={}))
        opened.add(trial(360.0, model="large"))
        opened.add(trial(36.0, model="small"))
    words = [line.split() for line in permille("results").out.splitlines()]
    first = [line[0] for line in words if line and line[0] in ("broken", "large", "small")]
    assert first[:3] == ["small", "large", "broken"]


def test_the_newest_setting_counts_unless_all_are_asked_for(
    permille: Permille, tmp_path: Path
) -> None:
    with Store(tmp_path / "permille.db") as store:
        for size, energy_j in ((2, 36.0), (3, 72.0)):
            batched = cell("tagger", id=f"of-{size}", settings={"batch_size": size})
            started = f"2026-01-0{size}T00:00:00"
            store.add(trial(energy_j, uid=f"t{size}", cell=batched, started=started), None)
    (row,) = permille("results", "--json").json["rows"]
    every = permille("results", "--json", "--superseded").json["rows"]
    older, newest = sorted(each["kwh_per_1000"]["value"] for each in every)
    assert newest == pytest.approx(2 * older)
    assert row["kwh_per_1000"]["value"] == newest


def test_live_needs_a_place_and_a_token(permille: Permille, store: Path) -> None:
    assert "--region" in permille("results", "--live", code=2).err
    finished = permille("results", "--live", "--region", "FR", code=2)
    assert "PERMILLE_ELECTRICITYMAPS_TOKEN" in finished.err


def test_hostile_names_do_not_reach_the_terminal(permille: Permille, tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07[bold red]x[/]\u202egnp.exe\n"
    with Store(tmp_path / "permille.db") as opened:
        for repeat in range(2):
            opened.add(trial(36.0, repeat=repeat, uid=f"{repeat}", cell=cell(evil, dataset=evil)))
    for command in (["results"], ["results", "--explain"]):
        out = permille(*command).out
        assert "\x1b" not in out
        assert "\x07" not in out
        assert "\u202e" not in out
        assert "[bold red]x[/]" in out
    assert permille("results", "--json").json["rows"][0]["model"] == evil
