"""What a callable may do instead of answering: it is waited for, or its cell fails and says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Permille
from tests.faults.conftest import MakeStudy, kept
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

LAZY = """
import asyncio, concurrent.futures, time
POOL = concurrent.futures.ThreadPoolExecutor()

def slow(text):
    time.sleep(0.1)
    return good(text)

def generator(text):
    time.sleep(0.05)
    yield good(text)[:1]
    time.sleep(0.05)
    yield good(text)[1:]

async def coroutine(text):
    await asyncio.sleep(0.1)
    return good(text)

async def async_generator(text):
    await asyncio.sleep(0.1)
    yield good(text)

def mapped(text):
    return map(slow, (text,))

def future(text):
    return POOL.submit(slow, text)

class Lazy:
    def __init__(self, text):
        self.text = text
    def __dask_graph__(self):
        return {}
    def compute(self):
        return slow(self.text)
"""


def test_a_lazy_answer_is_measured_until_it_is_there(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    names = ["generator", "coroutine", "async_generator", "mapped", "future", "Lazy"]
    permille("run", str(make_study(*names, source=LAZY)))
    trials = kept(tmp_path)
    assert sorted(trial.cell.model for trial in trials) == sorted(names)
    for trial in trials:
        assert trial.latency is not None
        assert trial.latency.p50 >= 0.1, trial.cell.model
        assert trial.quality is not None
        assert trial.quality.value == 1.0, trial.cell.model


LEAVES_OPEN = """
NOTES = open("notes.txt", "w")

def writes(text):
    NOTES.write("asked\\n")
    return good(text)
"""


def test_a_file_that_is_left_open_is_written_as_the_process_ends(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    permille("run", str(make_study("writes", source=LEAVES_OPEN)))
    (trial,) = kept(tmp_path)
    assert (tmp_path / "notes.txt").read_text().count("asked") >= trial.protocol.inferences


FAILS = """
import asyncio, warnings

def helper(text):
    raise LookupError(f"no such word: {text}")

def raises(text):
    return helper(text)

def library(text):
    import json
    return json.loads("{")

async def later(text):
    await asyncio.sleep(0)
    raise LookupError("the model's own error")

def unawaited(text):
    warnings.simplefilter("always")
    later(text)
    raise LookupError("the model's own error")

def nothing(text):
    good(text)

def number(text):
    return 7

def returns_function(text):
    return lambda: good(text)
"""


REASONS = {
    "raises": "LookupError: no such word: good one (models.py:10, in helper)",
    "library": "(models.py:17, in library)",
    "later": "LookupError: the model's own error (models.py:21, in later)",
    "unawaited": "LookupError: the model's own error (models.py:26, in unawaited)",
    "nothing": "returned None for each of the 2 samples",
    "number": "the callable returned a int, not a label (str)",
    "returns_function": "returned a function, which has computed nothing yet",
}


def test_the_reason_is_the_models_error_with_its_place(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    permille("run", str(make_study(*REASONS, source=FAILS)), code=1)
    trials = {trial.cell.model: trial for trial in kept(tmp_path)}
    assert trials.keys() == REASONS.keys()
    for model, reason in REASONS.items():
        assert trials[model].status == "failed"
        assert reason in (trials[model].reason or ""), model


def test_a_syntax_error_is_shown_with_its_line(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    path = str(make_study("good"))
    (tmp_path / "models.py").write_text("import helper_of_mine\ngood = helper_of_mine.good\n")
    (tmp_path / "helper_of_mine.py").write_text("def good(text):\n    return (text\n")
    finished = permille("run", path, code=2)
    assert "helper_of_mine.py:2" in finished.err
    assert len(finished.err.strip().splitlines()) == 1


def test_the_same_failure_is_not_tried_at_every_repeat(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    path = str(make_study("raises", "good", source=FAILS, repeats=4))
    finished = permille("run", path, "--json-lines", code=1)
    lines = [json.loads(line) for line in finished.out.splitlines()]
    bad = [line for line in lines if line["model"] == "raises"]
    assert [line["status"] for line in bad] == ["failed"] * 2 + ["left-out"] * 2
    assert all(line["trial"] is None for line in bad[2:])
    assert "no such word" in bad[2]["reason"]
    assert "2 repeats are skipped in this run: the model failed 2 times" in finished.err
    done = [trial for trial in kept(tmp_path) if trial.cell.model == "good"]
    assert len(done) == 4
    # Mended, and run again: nothing of it is held against the other repeats.
    (tmp_path / "models.py").write_text(
        "def raises(text): return text[:4].strip()\ngood = raises\n"
    )
    again = permille("run", path)
    assert "left out" not in again.out + again.err


ALTERNATES = """
import os
def alternates(text):
    folder = os.path.dirname(__file__)
    count = len(os.listdir(folder + "/runs"))
    open(f"{folder}/runs/{count}", "w").close()
    raise RuntimeError(("first", "second")[count % 2])
"""


def test_failures_for_different_reasons_are_all_tried(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    (tmp_path / "runs").mkdir()
    permille("run", str(make_study("alternates", source=ALTERNATES, repeats=4)), code=1)
    assert len(kept(tmp_path)) == 4


def test_a_repeat_that_is_given_up_says_so_to_programs_too(
    permille: Permille, powercap: Driver, make_study: MakeStudy
) -> None:
    path = str(make_study("raises", source=FAILS))
    for _ in range(3):
        permille("run", path, code=1)
    finished = permille("run", path, "--json-lines", code=1)
    (line,) = [json.loads(line) for line in finished.out.splitlines()]
    assert (line["status"], line["model"], line["repeat"]) == ("given-up", "raises", 0)
    for said in (line["reason"], finished.err, permille("run", path, code=1).out):
        assert "three times" in said
        assert "--fresh" in said
    assert "no such word" in line["reason"]
