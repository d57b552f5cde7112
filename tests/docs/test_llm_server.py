"""The page's server, started and asked as written."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from permille.store import Store
from tests import quickstart_assets
from tests.backends.test_endpoint import free_port
from tests.conftest import Permille
from tests.docs.pages import commands, write_files
from tests.powercap import Driver

pytestmark = pytest.mark.measuring


@quickstart_assets.needed
def test_the_example_runs(
    permille: Permille, powercap: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    files = ["server.py", "questions.jsonl", "study.toml", "question.json"]
    assert write_files("llm-server.md", tmp_path) == files
    json.loads((tmp_path / "question.json").read_text())
    study = (tmp_path / "study.toml").read_text()
    for port in dict.fromkeys(re.findall(r"180\d\d", study)):  # ports that nobody else has
        study = study.replace(port, str(free_port()))
    (tmp_path / "study.toml").write_text(study.replace("max_new_tokens = 16", "max_new_tokens = 3"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    permille("run", "study.toml", "--repeats", "1", "--inferences", "4", PATH=path)
    with Store(tmp_path / "permille.db", readonly=True) as store:
        trials = list(store.trials())
    assert [trial.status for trial in trials] == ["done"] * 3
    for trial in trials:
        assert trial.latency is not None
        assert trial.latency.first_token_p50 is not None
        assert trial.counts["tokens_out"] > 0
        assert trial.tokens is not None
    # A single trial has no interval, so that no promise is known to be kept or broken.
    assert commands("llm-server.md")[-1] == ["slo", "--ttft-p95", "1s"]
    out = permille("slo", "--ttft-p95", "1s", code=5).out
    assert "no load is known to keep p95 to the first token within 1 s" in out
