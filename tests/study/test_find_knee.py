"""``run --find-knee``: a server's load is raised until a promise breaks."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import msgspec
import pytest

from permille.analysis.slo import Limit, check
from permille.analysis.summaries import summarise
from permille.cli.slo_text import verdict_text
from permille.errors import UsageError
from permille.store import Store
from permille.study.engines.knee import _more
from permille.study.plan import file
from permille.study.plan.entries import Settings, StudyFile
from permille.study.plan.grid import make
from permille.study.plan.loads import axis_of, under_loads
from tests.analysis.test_slo import served
from tests.backends.test_endpoint import free_port
from tests.conftest import Permille
from tests.powercap import Driver
from tests.study.test_shared_server import SCRIPT, lines

STUDY = """
[study]
name = "knee"
inferences = 5
repeats = 3
warmup = 1
idle_s = 0.1

[[models]]
id = "served"
backend = "endpoint"
category = "general-purpose"
url = "http://127.0.0.1:{port}/v1"
serve = '''{serve}'''
max_new_tokens = 2
stream = true
{keys}

[[tasks]]
task = "chat"
datasets = [{{ path = "rows.jsonl", text = "text" }}]
"""
OTHER = """
[[models]]
id = "other"
backend = "python"
category = "general-purpose"
callable = "models:run"
"""


def written(folder: Path, keys: str, clients: int = 2) -> Path:
    port = free_port()
    words = [sys.executable, str(SCRIPT), str(port), str(folder), str(clients)]
    (folder / "rows.jsonl").write_text('{"text": "hello"}\n')
    path = folder / "study.toml"
    path.write_text(STUDY.format(port=port, serve=shlex.join(words), keys=keys))
    return path


def parsed(folder: Path, keys: str) -> StudyFile:
    return file.read(written(folder, keys))


# --- the loads ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "key", "start"),
    [
        ("", "concurrency", 1),
        ("concurrency = 4", "concurrency", 4),
        ("concurrency = [8, 2, 4]", "concurrency", 2),
        ("rate_per_s = 2.5", "rate_per_s", 2.5),
        ("rate_per_s = [4, 2]", "rate_per_s", 2),
    ],
)
def test_the_search_begins_with_the_lowest_load_of_the_file(
    tmp_path: Path, keys: str, key: str, start: float
) -> None:
    axis = axis_of(parsed(tmp_path, keys))
    assert (axis.key, axis.start) == (key, start)


@pytest.mark.parametrize(
    ("given", "listed", "load"),
    [
        ("", "concurrency = [1, 8]", 8),
        ("concurrency = 4", "concurrency = [4, 8]", 8),
        ("concurrency = [1, 2]", "concurrency = [1, 8]", 8),
        ("rate_per_s = 2.0", "rate_per_s = [1.0, 3.0]", 3.0),
        ("rate_per_s = 2", "rate_per_s = [1, 3]", 3.0),
        ("rate_per_s = 2", "rate_per_s = [1, 2.5]", 2.5),
        ("rate_per_s = [0.5, 2]", "rate_per_s = [0.5, 2]", 2.0),
        (
            'reasoning = ["low"]\nconcurrency = [1]',
            'reasoning = ["low"]\nconcurrency = [1, 8]',
            8,
        ),
        ('concurrency = [1]\nmodel = ["a"]', 'concurrency = [1, 8]\nmodel = ["a"]', 8),
    ],
)
def test_a_load_of_the_search_is_the_cell_that_a_list_would_make(
    tmp_path: Path, given: str, listed: str, load: float
) -> None:
    port = free_port()
    words = [sys.executable, str(SCRIPT), str(port), str(tmp_path)]
    (tmp_path / "rows.jsonl").write_text('{"text": "hello"}\n')

    def study(keys: str) -> StudyFile:
        text = STUDY.format(port=port, serve=shlex.join(words), keys=keys)
        return file.parse(text, where="study.toml", folder=tmp_path)

    searched = study(given)
    (cell,) = make(under_loads(searched, axis_of(searched), [load])).cells
    plan = make(study(listed))
    (twin,) = [one for one in plan.cells if one.cell.id == cell.cell.id]
    assert twin.cell == cell.cell
    assert plan.protocol_of(twin) == plan.protocol_of(cell)
    assert twin.server_key == cell.server_key is not None


def test_two_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose one with --models"):
        axis_of(parsed(tmp_path, 'model = ["a", "b"]'))
    path = written(tmp_path, "")
    path.write_text(path.read_text() + OTHER)
    with pytest.raises(UsageError, match="served, other"):
        axis_of(file.read(path))


def test_a_straddling_interval_gets_more_repeats_up_to_the_cap() -> None:
    settings = Settings(name="s", precision=0.05, max_repeats=30)
    summaries = summarise(served("4 clients", 200, 0.5), "compute")
    (point,) = [check(one, [Limit(name="ttft_p95", most=0.5)]) for one in summaries]
    assert point.meets is None
    assert point.straddles
    assert [more.repeats for more in _more(settings, point)] == [6, 12, 24, 30]
    assert not list(_more(Settings(name="s", repeats=3), point))
    assert not list(_more(settings, None))


def test_a_load_without_a_figure_is_shown_with_the_reason() -> None:
    failed = [
        msgspec.structs.replace(one, status="failed", reason="the server went away", latency=None)
        for one in served("4 clients", 200, 0.5)
    ]
    (summary,) = summarise(failed, "compute")
    text = verdict_text(check(summary, [Limit(name="ttft_p95", most=0.5)]))
    assert text == "cannot tell: the server went away"


# --- the command -------------------------------------------------------------------------

LIMIT = "400ms"
"""The server's answers take 0.05 s or 1.2 s. Half a second more comes to one of the five answers of
the one client, which moves no median; and in all answers of one of three trials of two clients it
leaves their interval above the limit."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ttft-p95", "1s"], "--ttft-p95 is a limit for --find-knee"),
        (["--find-knee"], "a promise needs a limit"),
        (
            ["--find-knee", "--ttft-p95", "1s"],
            "over concurrency needs inferences = 20 or more, not 5",
        ),
        (["--find-knee", "--ttft-p50", "1s", "--repeats", "1"], "needs two repeats"),
        (["--find-knee", "--ttft-p50", "1s", "--dry-run"], "--dry-run does not go with"),
        (["--find-knee", "--ttft-p50", "1s", "--engine", "ray"], "--engine does not go with"),
        (["--find-knee", "--ttft-p50", "1s", "--rerun-precision", "0.1"], "--rerun-precision does"),
        (["--find-knee", "--ttft-p50", "1s", "--machines", "2"], "not an option of --engine local"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_a_line(
    permille: Permille, tmp_path: Path, options: list[str], words: str
) -> None:
    written(tmp_path, "concurrency = [1, 2]")
    finished = permille("run", "study.toml", *options, code=2)
    assert words in finished.err
    assert finished.err.count("\n") == 1
    assert not lines(tmp_path, "starts")


@pytest.mark.measuring
def test_the_load_is_raised_until_the_promise_breaks_and_nothing_is_asked_twice(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    path = written(tmp_path, "concurrency = [1, 2]", clients=1)
    permille("run", "study.toml", "--repeats", "2")  # most of the trials are there already
    before = len(lines(tmp_path, "requests"))
    path.write_text(path.read_text().replace("[1, 2]", "1"))
    search = ("run", "study.toml", "--find-knee", "--ttft-p50", LIMIT)
    finished = permille(*search)
    assert "concurrency = 1: kept: p50 to the first token" in finished.err
    assert "concurrency = 2: broken: p50 to the first token" in finished.err
    assert "the promise breaks between concurrency = 1 and concurrency = 2" in finished.out
    assert "within 400 ms is served, concurrency = 1" in finished.out
    assert len(lines(tmp_path, "starts")) == 2  # one for the sweep, one for the search
    with Store(tmp_path / "permille.db", readonly=True) as store:
        trials = list(store.trials(source="permille"))
    assert len(trials) == 6
    after = len(lines(tmp_path, "requests"))
    assert after > before
    answer = permille(*search, "--json").json
    assert len(lines(tmp_path, "requests")) == after
    assert len(lines(tmp_path, "starts")) == 2
    assert answer["knee"] == {
        "setting": "concurrency",
        "kept": 1,
        "beyond": 2,
        "end": "resolved",
        "loads": [1, 2],
    }
    assert answer["best"]["model"] == "served, concurrency = 1"
    assert answer["points"][0]["trials"]["done"] == 3


@pytest.mark.measuring
def test_a_server_that_one_client_is_too_much_for(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    written(tmp_path, "", clients=0)
    search = ("run", "study.toml", "--find-knee", "--ttft-p50", LIMIT, "--inferences", "2")
    finished = permille(*search, code=4)
    assert "no load keeps p50 to the first token within 400 ms" in finished.out
    assert "no load down to concurrency = 1 is known to keep the promise" in finished.out
