"""A whole run of a served model under load: study file in, figures of the steady state out."""

from __future__ import annotations

from pathlib import Path

import pytest

from permille.store import Store
from tests import quickstart_assets
from tests.backends.test_endpoint import command, free_port
from tests.conftest import Permille
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

STUDY = """
[study]
name = "served"
inferences = 6
repeats = 1
warmup = 0
idle_s = 0.2

[[models]]
id = "SmolLM2-135M-Instruct"
backend = "endpoint"
category = "general-purpose"
url = "http://127.0.0.1:{port}/v1"
serve = '''{serve}'''
prompt = "Is this good or bad? {{text}} It is"
max_new_tokens = 2
stream = true
extra = {{ cache_prompt = false }}
concurrency = 2

[[tasks]]
task = "text-classification"
datasets = [{{ path = "rows.csv" }}]
"""


@quickstart_assets.needed
def test_a_server_under_load(permille: Permille, powercap: Driver, tmp_path: Path) -> None:
    rows = [f"this is {word} number {i},{word}" for i in range(3) for word in ("good", "bad")]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    port = free_port()
    (tmp_path / "study.toml").write_text(STUDY.format(port=port, serve=command(port)))
    permille("run", "study.toml")
    with Store(tmp_path / "permille.db", readonly=True) as store:
        (trial,) = store.trials()
    assert trial.status == "done"
    query = trial.phases["query"]
    assert query.inferences is not None
    assert query.inferences >= 6
    assert trial.latency is not None
    assert trial.latency.n == query.inferences
    assert trial.latency.p99 is not None
    assert trial.latency.first_token_p50 is not None
    assert 0 < trial.latency.first_token_p50 <= trial.latency.p99
    assert trial.latency.first_token_p99 is not None
    assert trial.latency.output_token_p50 is not None
    # So short a query has no split, but its requests were timed.
    assert trial.tokens is not None
    assert trial.counts["tokens_out"] <= 2 * query.inferences
    assert trial.facts.params == 134_515_008
    assert trial.quality is not None
    assert trial.quality.n == 6
