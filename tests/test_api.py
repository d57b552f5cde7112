"""The Python interface, on a counter of known power."""

from __future__ import annotations

import asyncio
import inspect
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

import permille
from permille.analysis.spans import overlapping
from permille.errors import CarbonError, MeterError, RecorderError, UsageError
from permille.records.energy import Boundary
from permille.records.recording import Span
from tests.conftest import PATIENCE_S, POWER_W, holds
from tests.otlp_collector import collector, points
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

ROOT = Path(__file__).parent.parent
ACCURACY = 0.05  # stated for RAPL; the fake counter itself is exact


@pytest.fixture
def machine(
    powercap: Driver, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Driver]:
    """This process is on the machine that draws 60 W."""
    for name in ("PERMILLE_POWERCAP", "PERMILLE_METERS", "TMPDIR"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.setattr("tempfile.tempdir", None)
    yield powercap
    monkeypatch.setattr("tempfile.tempdir", None)


def union_s(rec: permille.Session, name: str) -> float:
    """Seconds that the spans of this name cover together."""
    return math.fsum(span.phase.seconds for span in rec.measured(name))


def test_a_span_at_a_known_power(machine: Driver) -> None:
    with permille.record() as rec:
        t0_ns = time.monotonic_ns()
        with rec.span("query", inferences=500):
            time.sleep(0.3)
        t1_ns = time.monotonic_ns()
    result = rec["query"]
    assert result.valid
    assert result.reason is None
    assert result.energy is not None
    assert holds(result.energy, POWER_W * result.seconds)
    assert 0.3 <= result.seconds <= (t1_ns - t0_ns) / 1e9
    assert result.energy.low is not None
    assert result.energy.high is not None
    assert 0 < result.energy.low < result.energy.value * (1 - ACCURACY)
    assert result.energy.high > result.energy.value * (1 + ACCURACY)
    assert result.kwh_per_1000 is not None
    assert result.kwh_per_1000.value == pytest.approx(result.energy.value / 3.6e6 * 2)
    assert result.provenance == "measured"
    assert list(result.domains) == ["cpu:0"]
    assert (result.spans, result.inferences) == (1, 500)


def test_the_energies_are_sent_to_a_collector_when_the_recording_ends(machine: Driver) -> None:
    with (
        collector() as server,
        permille.record(otlp=server.address) as rec,
        rec.span("query", inferences=500),
    ):
        time.sleep(0.3)
    (request,) = server.requests
    sent = points(request)
    ((attributes, whole),) = sent["hw.energy"]
    assert (attributes["hw.id"], attributes["hw.type"]) == ("cpu:0", "cpu")
    result = rec["query"]
    assert result.energy is not None
    assert whole.as_double >= 0.99 * result.energy.value
    ((attributes, each),) = sent["permille.energy_per_1000"]
    assert attributes["permille.span"] == "query"
    assert each.as_double == pytest.approx(result.energy.value * 2)
    assert rec.notices == ()


def test_a_collector_that_refuses_does_not_cost_the_results(machine: Driver) -> None:
    with (
        collector(status=400) as server,
        permille.record(otlp=server.address) as rec,
        rec.span("query", inferences=500),
    ):
        time.sleep(0.3)
    assert rec["query"].valid
    assert any("did not reach http://127.0.0.1" in note for note in rec["query"].notes)


def test_nested_and_adjacent_spans_add_up(machine: Driver) -> None:
    with permille.record() as rec, rec.span("all"):
        with rec.span("first"):
            time.sleep(0.15)
        with rec.span("second"):
            time.sleep(0.25)
    results = rec.results
    assert list(results) == ["first", "second", "all"]
    energies = {name: r.energy.value for name, r in results.items() if r.energy}
    assert energies["first"] + energies["second"] <= energies["all"]
    for result in results.values():
        assert holds(result.energy, POWER_W * result.seconds)


def test_spans_of_one_name_are_a_mean_with_their_spread(machine: Driver) -> None:
    with permille.record(idle=0.3) as rec:
        for seconds in (0.1, 0.2, 0.3):
            t0_ns = time.monotonic_ns()
            with rec.span("query") as span:
                time.sleep(seconds)
                # Every inference costs the same, however long the sleep really took.
                span.inferences = (time.monotonic_ns() - t0_ns) // 1_000_000
    result, spans = rec["query"], rec.measured("query")
    assert result.spans == 3
    assert result.inferences == sum(span.phase.inferences or 0 for span in spans)
    assert result.energy is not None
    joules = [span.phase.domains["cpu:0"].energy_j for span in spans]
    assert result.energy.value == pytest.approx(fmean(joules))
    assert holds(result.energy, POWER_W * result.seconds)
    # Student's half-width with 2 degrees of freedom; what the meters add to it is far less.
    spread_j = 4.303 * stdev(joules) / math.sqrt(3)
    assert result.energy.high is not None
    assert result.energy.high - result.energy.value == pytest.approx(spread_j, rel=0.05)
    # The ratio knows that the spans differ because their numbers do.
    assert result.kwh_per_1000 is not None
    assert holds(result.kwh_per_1000, POWER_W / 3.6e6)
    assert result.kwh_per_1000.high is not None
    assert result.kwh_per_1000.high / result.kwh_per_1000.value < (
        result.energy.high / result.energy.value
    )
    assert holds(result.net, 0.0)
    assert any("one process" in note for note in result.notes)


def test_inferences_that_one_span_does_not_tell_are_not_guessed(machine: Driver) -> None:
    with permille.record() as rec:
        with rec.span("query", inferences=10):
            time.sleep(0.3)
        with rec.span("query"):
            time.sleep(0.3)
    assert rec["query"].energy is not None
    assert rec["query"].inferences is None
    assert rec["query"].kwh_per_1000 is None


def test_an_exception_goes_through_and_the_span_says_so(machine: Driver) -> None:
    rec = permille.record()

    def fail() -> None:
        with rec, rec.span("outer"), rec.span("inner"):
            time.sleep(0.4)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    for name in ("inner", "outer"):
        assert not rec[name].valid
        assert rec[name].reason == "1 of 1 spans ended with ZeroDivisionError"
        assert rec[name].energy is not None


def test_a_span_too_short_for_the_meter_has_no_figure(machine: Driver) -> None:
    with permille.record() as rec, rec.span("blink"):
        pass
    result = rec["blink"]
    assert result.energy is None
    assert not result.valid
    assert "too short" in (result.reason or "")
    assert result.co2e_g("FR") is None


def test_a_reset_counter_has_no_figure(machine: Driver) -> None:
    with permille.record() as rec:
        time.sleep(0.2)
        with rec.span("query"):
            time.sleep(0.4)
            machine.reset("cpu:0")
            time.sleep(0.2)
    assert rec["query"].energy is None
    assert "reset" in (rec["query"].reason or "")


def test_the_recorder_dies_and_the_work_goes_on(machine: Driver) -> None:
    with permille.record() as rec:
        with rec.span("query", inferences=3):
            assert rec._recorder is not None
            rec._recorder._process.kill()
            time.sleep(0.4)
            done = True
        with rec.span("after"):
            pass
    assert done
    for name in ("query", "after"):
        assert rec[name].energy is None
        assert "recorder died" in (rec[name].reason or "")
    with pytest.raises(RecorderError, match="died"):
        _ = rec.recording


def test_carbon_counts_the_pue_once(machine: Driver) -> None:
    boundaries: tuple[Boundary, ...] = ("node", "facility")
    for boundary in boundaries:
        with (
            permille.record(boundary=boundary, pue=2.0) as rec,
            rec.span("query"),
        ):
            time.sleep(0.2)
        result = rec["query"]
        found = result.co2e_g(intensity=360.0)
        assert found is not None
        assert result.energy is not None
        overhead = 2.0 if boundary == "facility" else 1.0
        assert holds(result.energy, overhead * POWER_W * result.seconds)
        # The carbon is that of the facility, whatever the boundary.
        facility_j = result.energy.value * 2.0 / overhead
        assert found.value == pytest.approx(facility_j * 360 / 3.6e6)
        with pytest.raises(CarbonError):
            result.co2e_g("Atlantis")


def test_energy_is_not_told_before_the_end(machine: Driver) -> None:
    with permille.record() as rec:
        with rec.span("query"):
            time.sleep(0.05)
        for ask in (lambda: rec["query"], lambda: rec.results, lambda: rec.recording):
            with pytest.raises(UsageError, match="read results after the with"):
                ask()
    with pytest.raises(UsageError, match="no span 'other' was recorded; recorded spans: query"):
        rec["other"]
    with pytest.raises(UsageError, match="must be inside"), rec.span("late"):
        pass
    with pytest.raises(UsageError, match="used once"), rec:
        pass


@pytest.mark.parametrize(
    "wrong",
    [
        {"idle": -1.0},
        {"idle": float("nan")},
        {"idle": 1e308},
        {"pue": 0.9},
        {"pue": 1e308},
        {"pue": float("inf")},
        {"boundary": "town"},
        {"require": "guessed"},
    ],
)
def test_wrong_settings_are_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        permille.record(**wrong)
    with pytest.raises(UsageError):
        permille.measured(**wrong)


@pytest.mark.parametrize("inferences", [0, -1, True])
def test_inferences_are_counted_from_one_up(inferences: Any, machine: Driver) -> None:
    with pytest.raises(UsageError, match="from 1 up"):
        permille.measured(inferences=inferences)
    with (
        permille.record() as rec,
        pytest.raises(UsageError, match="from 1 up"),
        rec.span("query", inferences=inferences),
    ):
        pass


def test_one_recording_at_a_time(machine: Driver) -> None:
    with permille.record():
        with pytest.raises(RecorderError, match="another permille"), permille.record():
            pass
        with permille.record(shared=True) as beside, beside.span("query"):
            time.sleep(0.4)
    assert beside["query"].energy is not None
    assert any("concurrent runs" in note for note in beside["query"].notes)
    with permille.record():
        pass  # the lock is free again


def test_a_measurement_can_be_required(machine: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERMILLE_METERS", "estimate")
    with pytest.raises(MeterError, match="only estimated"), permille.record(require="measured"):
        pass
    with permille.record() as rec, rec.span("query"):
        time.sleep(3.0)  # long enough for its edges on a machine that holds the recorder up
    assert rec["query"].provenance == "estimated"


def test_a_measured_function(machine: Driver) -> None:
    @permille.measured(inferences=len)
    def classify(texts: list[str], *, pause_s: float) -> list[str]:
        """Slow."""
        time.sleep(pause_s)
        return texts

    assert classify.__name__ == "classify"
    with pytest.raises(UsageError, match="has not been called"):
        _ = classify.result
    assert classify(["a"], pause_s=0.05) == ["a"]
    classify.forget()
    classify(["a", "b"], pause_s=0.2)
    classify(["a", "b"], pause_s=0.2)
    result = classify.result
    assert (result.spans, result.inferences) == (2, 4)
    assert holds(result.energy, POWER_W * result.seconds)
    assert result.kwh_per_1000 is not None
    with pytest.raises(TypeError), permille.record(shared=True):
        classify()  # type: ignore[call-arg]


def test_a_measured_method_and_one_that_raises(machine: Driver) -> None:
    class Model:
        word = "good"

        @permille.measured(inferences=1)
        def infer(self, text: str) -> str:
            time.sleep(0.4)
            if not text:
                raise ValueError("empty")
            return self.word

    assert Model().infer("x") == "good"
    assert Model.infer.result.valid
    with pytest.raises(ValueError, match="empty"):
        Model().infer("")
    result = Model.infer.result
    assert not result.valid
    assert result.reason == "1 of 2 spans ended with ValueError: empty"


def test_a_coroutine_is_measured_where_it_is_awaited(machine: Driver) -> None:
    @permille.measured(inferences=len)
    async def later(text: str) -> str:
        await asyncio.sleep(0.3)
        return text

    assert inspect.iscoroutinefunction(later) or sys.version_info < (3, 12)
    assert asyncio.run(later("ab")) == "ab"
    assert later.result.seconds >= 0.3
    assert later.result.inferences == 2


def test_a_generator_is_run_to_its_end_within_the_call(machine: Driver) -> None:
    done = []

    @permille.measured(inferences=len)
    def words() -> Iterator[str]:
        for word in ("a", "b", "c"):
            time.sleep(0.1)
            done.append(word)
            yield word

    assert next(words()) == "a"
    assert done == ["a", "b", "c"]
    assert words.result.seconds >= 0.3
    assert words.result.inferences == 3


def test_an_asynchronous_generator_is_run_to_its_end(machine: Driver) -> None:
    @permille.measured()
    async def words() -> Any:
        for word in ("a", "b"):
            await asyncio.sleep(0.15)
            yield word

    async def gather() -> list[str]:
        return [word async for word in words()]

    assert asyncio.run(gather()) == ["a", "b"]
    assert words.result.seconds >= 0.3


def test_a_future_that_a_function_returns_is_waited_for(machine: Driver) -> None:
    with ThreadPoolExecutor() as pool:

        @permille.measured()
        def later() -> list[Future[None]]:
            return [pool.submit(time.sleep, 0.3)]

        (future,) = later()
    assert future.result() is None
    assert later.result.seconds >= 0.3


def test_a_function_that_returns_anothers_generator_is_refused(machine: Driver) -> None:
    @permille.measured()
    def lazy() -> Any:
        return (number for number in range(3))

    with pytest.raises(UsageError, match="returned a generator, whose work has not begun"):
        lazy()
    assert not lazy.result.valid


def test_the_public_names() -> None:
    assert sorted(permille.__all__) == [
        "Comparison",
        "Estimate",
        "MeasuredFunction",
        "PermilleError",
        "Provenance",
        "Result",
        "Session",
        "__version__",
        "compare",
        "measured",
        "record",
        "results",
        "trials",
    ]
    for name in permille.__all__:
        assert getattr(permille, name) is not None
    assert set(dir(permille)) == set(permille.__all__)
    with pytest.raises(AttributeError, match="no attribute 'meter'"):
        _ = permille.meter


def test_importing_it_loads_nothing_heavy() -> None:
    program = "import sys, permille; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"numpy", "scipy", "msgspec", "psutil", "rich", "asyncio", "subprocess"}


def blocks() -> list[str]:
    text = (ROOT / "docs" / "python.md").read_text()
    return [part.split("```")[0] for part in text.split("```python\n")[1:]]


@pytest.mark.parametrize("number", range(len(blocks())))
def test_the_documents_code_runs_as_written(
    number: int, powercap: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    program = tmp_path / "example.py"
    program.write_text(blocks()[number])
    done = subprocess.run(
        [sys.executable, "-W", "error", program],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    assert "no figure" not in done.stdout
    assert "Estimate(value=" in done.stdout


def test_the_documents_table_names_every_field() -> None:
    text = (ROOT / "docs" / "python.md").read_text()
    table = text.partition("## A result")[2].partition("Spans of one name")[0]
    fields = {*permille.Result.__struct_fields__, "co2e_g"} - {"name"}
    assert [name for name in fields if f"`{name}" not in table] == []


def test_concurrent_requests_share_what_the_machine_used(machine: Driver) -> None:
    async def request(rec: permille.Session, seconds: float) -> None:
        with rec.span("request", inferences=1):
            await asyncio.sleep(seconds)

    async def all_of_them(rec: permille.Session) -> None:
        with rec.span("all", inferences=8):
            await asyncio.gather(*(request(rec, 0.3 + i / 20) for i in range(8)))

    with permille.record(idle=0.2) as rec:
        asyncio.run(all_of_them(rec))
    request_, all_ = rec["request"], rec["all"]
    assert (request_.spans, request_.inferences) == (8, 8)
    together_j = POWER_W * union_s(rec, "request")
    assert holds(all_.energy, POWER_W * all_.seconds)
    assert holds(request_.energy, together_j / 8)
    assert holds(request_.kwh_per_1000, together_j / 8 / 3600)
    assert request_.energy is not None
    assert request_.domains["cpu:0"].energy_j == pytest.approx(request_.energy.value)
    assert any("is shared among" in note for note in request_.notes)
    assert not any("is shared among" in note for note in all_.notes)


def test_threads_share_what_the_machine_used_and_gaps_are_not_in_it(machine: Driver) -> None:
    all_in = threading.Barrier(4)

    def request(rec: permille.Session) -> None:
        with rec.span("request", inferences=5):
            all_in.wait(PATIENCE_S)
            time.sleep(0.4)

    with permille.record() as rec:
        for _ in range(2):
            with ThreadPoolExecutor(4) as pool:
                for _ in range(4):
                    pool.submit(request, rec)
            time.sleep(0.3)
    result = rec["request"]
    assert result.spans == 8
    assert [each.spans for each in rec.measured("request")] == [4, 4]
    assert holds(result.kwh_per_1000, POWER_W * union_s(rec, "request") / 40 / 3600)


def test_spans_that_only_touch_are_spans_of_their_own() -> None:
    spans = [Span(name="s", t0_ns=t0, t1_ns=t1) for t0, t1 in [(20, 30), (0, 10), (10, 20), (5, 9)]]
    assert overlapping(spans) == [[1, 3], [2], [0]]


def test_a_span_in_a_forked_child_is_refused_and_leaves_the_recording_whole(
    machine: Driver,
) -> None:
    with permille.record() as rec, rec.span("query"):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                with rec.span("child"):
                    pass
            except UsageError as error:
                os.write(writer, str(error).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        message = os.read(reader, 1000).decode()
        os.close(reader)
        os.close(writer)
        time.sleep(0.4)
    assert f"forked child of process {os.getpid()}" in message
    assert rec["query"].valid


def test_a_child_that_leaves_its_parents_recording_does_not_end_it(machine: Driver) -> None:
    rec = permille.record()
    pid = -1
    with rec, rec.span("query"):
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            time.sleep(0.4)
    if pid == 0:
        os._exit(0)  # it has left both blocks
    assert rec["query"].valid, rec["query"].reason


def test_a_short_span_that_raises_tells_the_exception_first(machine: Driver) -> None:
    rec = permille.record()

    def fail() -> None:
        with rec, rec.span("query"):
            raise ValueError("no such\nmodel")

    with pytest.raises(ValueError, match="no such"):
        fail()
    reason = rec["query"].reason
    assert reason is not None
    assert reason.startswith("1 of 1 spans ended with ValueError: no such model; ")


def test_the_lock_advises_what_python_can_do(machine: Driver) -> None:
    with permille.record():
        with pytest.raises(RecorderError, match="shared=True") as refused, permille.record():
            pass
        assert "--shared" not in str(refused.value)


def test_calls_that_overlap_have_no_result(machine: Driver) -> None:
    barrier = threading.Barrier(2)

    @permille.measured(shared=True)
    def work() -> None:
        barrier.wait(timeout=PATIENCE_S)
        time.sleep(0.3)

    with ThreadPoolExecutor(2) as pool:
        for call in [pool.submit(work) for _ in range(2)]:
            call.result()
    with pytest.raises(UsageError, match="overlapped"):
        _ = work.result
