"""The figures of tokens and answers in exported files: as in ``results --json``, or empty."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from permille.cli import dispatch
from permille.records.answers import Latency, TokenSplit
from permille.records.energy import Estimate
from permille.records.trial import Trial
from permille.store import Store
from tests.records import cell, trial


def served(repeat: int) -> Trial:
    """10 answers in 10 s of 20 output tokens each, half of them reasoning."""
    return trial(
        36.0 + repeat,
        model="llm",
        repeat=repeat,
        inferences=10,
        counts={"tokens_in": 100.0, "tokens_out": 200.0, "tokens_reasoning": 100.0},
        latency=Latency(
            p50=1.0, p95=2.0, p99=3.0, mean=1.0, n=10,
            first_token_p50=0.1, first_token_p95=0.2, first_token_p99=0.3,
            output_token_p50=0.01, output_token_p95=0.02, output_token_p99=0.03,
        ),
        tokens=TokenSplit(
            method="windows",
            input_j=Estimate(value=0.01, low=0.005, high=0.015),
            output_j=Estimate(value=0.1, low=0.09, high=0.11),
            rest_w=Estimate(value=2.0, low=1.0, high=3.0),
            n=40,
            warning="the load hardly varied",
        ),
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "permille.db"
    with Store(path) as opened:
        for repeat in range(3):
            opened.add(served(repeat))
            opened.add(trial(repeat=repeat, model="plain"))
        for repeat in range(2):
            heard = {"audio_seconds": 72.0}
            opened.add(trial(36.0, model="ears", repeat=repeat, counts=heard))
            embeds = cell("embeds", task="feature-extraction")
            read = {"tokens_in": 1800.0}
            opened.add(trial(36.0, model="embeds", repeat=repeat, counts=read, cell=embeds))
    return path


def exported(store: Path, form: str, *options: str) -> str:
    file = store.with_name(f"out.{form}")
    assert dispatch(["export", form, str(file), "--store", str(store), *options]) == 0
    return file.read_text(encoding="utf-8")


def test_csv_has_each_figure_with_the_ends_of_its_interval(store: Path) -> None:
    rows = {r["model"]: r for r in csv.DictReader(exported(store, "csv").splitlines())}
    llm = rows["llm"]
    expected = {
        "j_per_output_token": 37 / 200,
        "j_per_token": 37 / 300,
        "token_split_input_j": 0.01,
        "token_split_input_j_low": 0.005,
        "token_split_output_j_high": 0.11,
        "token_split_rest_w": 2.0,
        "output_tokens_each": 20.0,
        "reasoning_tokens_each": 10.0,
        "inferences_per_s": 1.0,
        "tokens_per_s": 20.0,
        "request_p99_s": 3.0,
        "ttft_p95_s": 0.2,
        "tpot_p50_s": 0.01,
    }
    assert {name: float(llm[name]) for name in expected} == pytest.approx(expected)
    assert float(llm["j_per_output_token_low"]) < 37 / 200 < float(llm["j_per_output_token_high"])
    assert (llm["token_split_method"], llm["token_split_warning"]) == (
        "windows",
        "the load hardly varied",
    )
    assert float(rows["ears"]["j_per_audio_second"]) == pytest.approx(0.5)
    assert float(rows["embeds"]["j_per_embedded_token"]) == pytest.approx(0.02)
    # Where there is nothing to count, the cells are empty, never 0.
    unknown = [name for name in llm if name.startswith(("j_per", "token_split", "ttft", "tpot"))]
    assert len(unknown) > 30
    assert {rows["plain"][name] for name in unknown} == {""}


def test_the_model_card_has_tables_of_the_models_that_have_such_figures(store: Path) -> None:
    card = exported(store, "model-card")
    energy, tokens, split = card.split("\n| --- |")[1:]
    assert all(model in energy for model in ("llm", "plain", "ears"))
    for table in (tokens, split):
        assert "llm" in table
        assert "plain" not in table
    assert "10 mJ [5 mJ, 15 mJ] | 100 mJ [90 mJ, 110 mJ] | 2 W [1 W, 3 W]" in split
    assert "the load hardly varied" in split
    assert "300 ms" in tokens


def test_the_line_below_the_table_is_per_1000_tokens_embedded(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dispatch(["results", "--store", str(store)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "embeds on reviews: 20 J [20 J, 20 J] per 1,000 tokens embedded" in printed
    assert "ears on reviews: 500 mJ [500 mJ, 500 mJ] per second of audio" in printed


def test_a_model_card_without_such_figures_has_one_table(store: Path) -> None:
    assert exported(store, "model-card", "--model", "plain").count("\n| --- |") == 1
