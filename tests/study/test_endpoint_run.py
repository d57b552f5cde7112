"""Whole runs of servers that fail, cache, queue and fall behind: study file in, figures out."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from permille.records.trial import Trial
from permille.store import Store
from permille.study.worker.scoring import cache_notes
from tests.backends.openai_server import (
    DONE,
    USAGE,
    Reply,
    Streamed,
    Whole,
    chat,
    data,
    delta,
    serving,
)
from tests.conftest import Permille
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

STUDY = """
[study]
name = "served"
inferences = {inferences}
repeats = 1
warmup = 0
idle_s = 0.2
{study}

[[models]]
id = "m"
backend = "endpoint"
category = "general-purpose"
url = "http://127.0.0.1:{port}/v1"
max_new_tokens = 4
{model}

[[tasks]]
task = "chat"
datasets = [{{ path = "q.jsonl", text = "q" }}]
"""


@pytest.fixture
def run(permille: Permille, powercap: Driver, tmp_path: Path) -> Any:
    def one(
        reply: Reply, *, code: int = 0, study: str = "", model: str = "", inferences: int = 12
    ) -> Trial:
        (tmp_path / "q.jsonl").write_text('{"q": "one"}\n{"q": "two"}\n')
        with serving(reply) as server:
            (tmp_path / "study.toml").write_text(
                STUDY.format(port=server.port, study=study, model=model, inferences=inferences)
            )
            permille("run", "study.toml", code=code)
        with Store(tmp_path / "permille.db", readonly=True) as store:
            (trial,) = store.trials()
        return trial

    return one


def every_third_fails(number: int, asked: dict[str, Any]) -> Whole | Streamed:
    pieces = data(delta(content="a"))
    if number % 3 == 0:
        return Streamed([*pieces, *data({"error": {"message": "engine died"}})])
    time.sleep(0.02)
    return Streamed([*pieces, *data(delta("stop"), {"choices": [], "usage": USAGE}), DONE])


LOADS = pytest.mark.parametrize("load", ["", "concurrency = 2"])


@LOADS
def test_a_failure_fails_the_trial_with_the_servers_words(run: Any, load: str) -> None:
    trial = run(every_third_fails, code=1, model=f"stream = true\n{load}")
    assert trial.status == "failed"
    assert "engine died" in trial.reason


@LOADS
def test_failures_that_are_allowed_are_counted_said_and_in_no_other_figure(
    run: Any, permille: Permille, load: str
) -> None:
    trial = run(every_third_fails, study="max_failures = 0.9", model=f"stream = true\n{load}")
    assert trial.status == "done"
    done, failed = trial.phases["query"].inferences, trial.counts["failed"]
    assert done >= 12
    assert trial.latency.n == done
    assert trial.latency.p50 >= 0.02  # a failure comes at once, and is no latency
    assert trial.counts["tokens_out"] == 4 * done
    (row,) = permille("results", "--json").json["rows"]
    failures = row["inference_failures"]
    assert (failures["failed"], failures["tried"]) == (failed, done + failed)
    assert failures["share"] == pytest.approx(failed / (done + failed))
    assert 0 < failures["low"] < failures["share"] < failures["high"] < 1
    (note,) = [note for note in trial.notes if "inferences failed" in note]
    assert note.startswith(f"{failed:.0f} of {done + failed:.0f} inferences failed")
    assert "engine died" in note


def test_too_many_failures_fail_the_trial(run: Any) -> None:
    trial = run(every_third_fails, code=1, study="max_failures = 2", model="stream = true")
    assert "3 of 8 inferences failed, more than max_failures = 2 allows" in trial.reason


@LOADS
def test_what_came_from_the_servers_cache_is_said_with_its_share(run: Any, load: str) -> None:
    cached = USAGE | {"prompt_tokens_details": {"cached_tokens": 19}}

    def reply(number: int, asked: dict[str, Any]) -> Whole:
        return Whole(chat().body | {"usage": cached})

    trial = run(reply, model=load)
    done = trial.phases["query"].inferences
    assert trial.counts["tokens_cached"] == 19 * done
    assert trial.counts["failed"] == 0
    assert any("95 % of the prompt tokens came from the server's cache" in n for n in trial.notes)


def test_a_prompt_that_came_from_the_cache_entirely_is_100_percent() -> None:
    (note,) = cache_notes({"tokens_cached": 20.0, "tokens_in": 20.0})
    assert note.startswith("100 % of the prompt tokens")


class OneAtATime:
    """Half of an answer's time goes by before its first token, and half after."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.turn = seconds, threading.Lock()

    def __call__(self, number: int, asked: dict[str, Any]) -> Streamed:
        with self.turn:  # the pieces are sent once the turn is over: only the queue counts here
            time.sleep(self.seconds)
        end = data(delta("stop"), {"choices": [], "usage": USAGE})
        return Streamed([*data(delta(content="a")), self.seconds, *end, DONE])


def test_under_load_the_time_to_the_first_token_is_the_steady_states(run: Any) -> None:
    trial = run(OneAtATime(0.1), model="stream = true\nconcurrency = 4", inferences=20)
    # Two clients wait while a third is served and the fourth ends its answer: 0.3 s in the steady
    # state, where the very first answers began after 0.1 s, 0.2 s, ….
    assert trial.latency.first_token_p50 > 0.2
    assert trial.latency.first_token_p50 < trial.latency.p50


def test_goodput_counts_the_answers_of_the_steady_state(
    run: Any, permille: Permille, tmp_path: Path
) -> None:
    trial = run(OneAtATime(0.1), model="stream = true\nconcurrency = 4", inferences=20)
    seconds = trial.phases["query"].seconds
    with Store(tmp_path / "permille.db", readonly=True) as store:
        raw = store.raw(trial.uid)
    assert raw is not None
    assert len(raw.durations_ns) == trial.phases["query"].inferences

    def good(*promise: str, code: int | None = None) -> dict[str, Any]:
        (point,) = permille("slo", *promise, "--json", code=code).json["points"]
        return dict(point["goodput"])

    # With a single trial, no promise is known to be kept.
    every = good("--ttft-p99", "60s", "--tpot-p99", "60s", "--latency-p99", "60s", code=5)
    assert every["share"]["value"] == 1
    assert every["per_s"]["value"] == pytest.approx(len(raw.durations_ns) / seconds)
    limit_ms = sorted(raw.durations_ns)[len(raw.durations_ns) // 2] // 1_000_000 + 1
    within = sum(duration_ns <= limit_ms * 1_000_000 for duration_ns in raw.durations_ns)
    some = good("--latency-p50", f"{limit_ms}ms")
    assert some["per_s"]["value"] == pytest.approx(within / seconds)
    assert some["j_per_request"]["value"] == pytest.approx(
        every["j_per_request"]["value"] / some["share"]["value"]
    )


def test_a_server_that_falls_behind_is_an_error_with_its_figures(run: Any) -> None:
    trial = run(OneAtATime(0.05), code=1, model="rate_per_s = 40.0\nstream = true", inferences=30)
    assert "the server cannot keep up with rate_per_s = 40: in " in trial.reason
    # On a busy machine they may reach their bound before the window is over.
    assert re.search("requests in flight rose from|requests are in flight", trial.reason)
    assert trial.failure_kind == "overload"
