"""The recorder's process, through the runner's and the worker's ends of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from permille.energy.span_energy import span_energy
from permille.errors import MeterError, RecorderError
from permille.recorder.client import Recorder
from permille.recorder.marker import Marker
from permille.records.energy import DomainEnergy
from permille.records.recording import Span
from tests.conftest import PATIENCE_S, POWER_W
from tests.powercap import Driver, FakePowercap

pytestmark = pytest.mark.measuring


@pytest.fixture
def here(powercap: Driver, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Driver:
    """The fake tree in this process's own environment."""
    for name in ("PERMILLE_POWERCAP", "PERMILLE_METERS", "TMPDIR"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.setattr("tempfile.tempdir", environment["TMPDIR"])
    return powercap


def test_spans_between_marks_have_the_known_energy(here: Driver) -> None:
    with Recorder() as recorder:
        recorder.begin()
        marker = Marker(recorder.channel())
        marker.mark()
        t0_ns = time.monotonic_ns()
        time.sleep(0.5)
        t1_ns = time.monotonic_ns()
        marker.mark()
        marker.close()
        recording = recorder.take()
    (series,) = recording.series
    found = span_energy(series, Span(name="x", t0_ns=t0_ns, t1_ns=t1_ns))
    assert isinstance(found, DomainEnergy)
    truth_j = here.energy_j("cpu:0", t0_ns, t1_ns)
    # Two rectangular edges: their half-widths add up to at most √6 standard uncertainties.
    assert abs(found.energy_j - truth_j) <= 6**0.5 * found.edge_j
    assert truth_j == pytest.approx(POWER_W * (t1_ns - t0_ns) / 1e9)
    assert recording.stats.cpu_s > 0


def test_it_polls_without_being_asked(here: Driver) -> None:
    with Recorder() as recorder:
        recorder.begin()
        polls: list[int] = []
        while len(polls) < 2:  # as often as it takes until it has had its turn
            t0_ns = time.monotonic_ns()
            time.sleep(0.3)
            t1_ns = time.monotonic_ns()
            polls = [t for t in recorder.take().series[0].t_ns if t0_ns < t < t1_ns]


def test_begin_forgets_what_was_before(here: Driver) -> None:
    with Recorder() as recorder:
        time.sleep(0.4)
        t_ns = time.monotonic_ns()
        recorder.begin()
        recording = recorder.take()
    assert sum(t < t_ns for t in recording.series[0].t_ns) <= 1  # the last one before it


def test_a_dead_recorder_is_said_to_both_ends_and_can_be_replaced(here: Driver) -> None:
    with Recorder() as recorder:
        marker = Marker(recorder.channel())
        marker.mark()
        os.kill(recorder.pid, signal.SIGKILL)
        with pytest.raises(RecorderError, match="died"):
            marker.mark()
        marker.close()
        with pytest.raises(RecorderError, match="died"):
            recorder.take()
        recorder.restart()
        recorder.begin()
        assert recorder.take().series[0].t_ns


def test_it_dies_with_its_parent(here: Driver, environment: dict[str, str]) -> None:
    code = (
        "import sys, time; from permille.recorder.client import Recorder;"
        "r = Recorder(); print(r.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


def test_two_at_once_are_refused_unless_shared(here: Driver) -> None:
    with Recorder():
        with pytest.raises(RecorderError, match="--shared"):
            Recorder()
        with Recorder(shared=True) as second:
            second.begin()
            assert second.take().shared is True
    with Recorder():
        pass


def test_no_meter_is_no_recorder_and_the_lock_is_given_back(
    here: Driver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PERMILLE_POWERCAP", str(tmp_path / "none"))
    with pytest.raises(MeterError, match="no meter here"):
        Recorder()
    monkeypatch.setenv("PERMILLE_METERS", "estimate")
    with Recorder() as recorder, pytest.raises(MeterError, match="only estimated"):
        recorder.require_measured()


def test_its_poll_interval_follows_what_the_counter_needs(
    here: Driver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A counter that could wrap in 40 ms at its greatest power is polled twice in that time."""
    from tests.powercap import FakePowercap

    tree = FakePowercap(tmp_path / "small", dram=False, range_uj=40_000_000)
    monkeypatch.setenv("PERMILLE_POWERCAP", str(tree.root))
    with Recorder() as recorder:
        assert recorder.interval_s == pytest.approx(0.02)


def recorders_of(parent: int) -> list[int]:
    """Living recorder processes that this process has started."""
    found = []
    for child in psutil.Process(parent).children():
        with contextlib.suppress(psutil.Error):
            if "permille.recorder.server" in child.cmdline():
                found.append(child.pid)
    return found


def test_a_meter_that_blocks_as_it_is_opened_leaves_no_recorder(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name in the powercap tree that is a pipe: to read it never ends."""
    tree = FakePowercap(tmp_path / "tree", dram=False)
    name = tree.zones["cpu:0"] / "name"
    name.unlink()
    os.mkfifo(name)
    monkeypatch.setenv("PERMILLE_POWERCAP", str(tree.root))
    monkeypatch.setenv("PERMILLE_METERS", "rapl")
    monkeypatch.setattr("tempfile.tempdir", environment["TMPDIR"])
    monkeypatch.setattr("permille.recorder.client.START_S", 2.0)
    before = recorders_of(os.getpid())
    with pytest.raises(RecorderError, match="does not answer: a meter may block"):
        Recorder(shared=True)
    assert recorders_of(os.getpid()) == before


def test_an_answer_that_is_late_is_never_taken_for_the_next(here: Driver) -> None:
    with Recorder() as recorder:
        recorder.begin()
        recorder._control.settimeout(1.0)
        os.kill(recorder.pid, signal.SIGSTOP)
        with pytest.raises(RecorderError, match="does not answer"):
            recorder.mark()
        os.kill(recorder.pid, signal.SIGCONT)
        with pytest.raises(RecorderError, match="does not answer"):
            recorder.take()
        recorder.restart()
        recorder.begin()
        assert recorder.take().series[0].t_ns
