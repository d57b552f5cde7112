"""A recording played again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.errors import UsageError
from permille.meters import MeterUnavailable
from permille.meters.replay import ReplayMeter, energy_at, load_recording, open_meter
from permille.records.recording import Domain, Provenance, RecorderStats, Recording, Series


def recording(t_ns: tuple[int, ...], energy_j: tuple[float, ...]) -> Recording:
    domain = Domain(
        name="cpu:0",
        kind="cpu",
        meter="rapl",
        provenance=Provenance.MEASURED,
        accuracy_low=0.05,
        accuracy_high=0.05,
        wrap_j=100.0,
    )
    return Recording(
        series=(Series(domain=domain, t_ns=t_ns, energy_j=energy_j),),
        events=(),
        stats=RecorderStats(cpu_s=0, wall_s=1, polls=2, missed=0, interval_s=0.1),
    )


@pytest.mark.parametrize("name", ["run.json", "run.msgpack"])
def test_a_file_is_played_at_its_own_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    made = recording((1_000, 2_000, 4_000), (10.0, 20.0, 20.0))
    encode = msgspec.json.encode if name.endswith("json") else msgspec.msgpack.encode
    path.write_bytes(encode(made))
    monkeypatch.setenv("PERMILLE_REPLAY", str(path))
    (domain,) = open_meter().domains
    assert (domain.provenance, domain.meter, domain.wrap_j) == ("replayed", "replay", None)
    now = [500]
    meter = ReplayMeter(load_recording(path), clock_ns=lambda: now[0])
    seen = []
    for t_ns in (500, 1_000, 1_500, 3_500, 3_501):
        now[0] = t_ns
        (reading,) = meter.read()
        assert reading.t_ns == t_ns
        seen.append(reading.energy_j)
    assert seen == [10.0, 15.0, 20.0, 20.0, None]
    assert meter.read()[0].error == "the recording ends before this time"


@given(
    st.lists(st.tuples(st.integers(1, 10**9), st.floats(0, 1e6)), min_size=2, max_size=20),
    st.floats(0, 1),
)
def test_energy_between_instants_lies_between(steps: list[tuple[int, float]], share: float) -> None:
    times, energies, t, e = [], [], 0, 0.0
    for dt, de in steps:
        t, e = t + dt, e + de
        times.append(t)
        energies.append(e)
    series = recording(tuple(times), tuple(energies)).series[0]
    at = times[0] + round(share * (times[-1] - times[0]))
    value = energy_at(series, at)
    assert value is not None
    assert energies[0] <= value <= energies[-1]
    assert [energy_at(series, instant) for instant in times] == energies
    assert energy_at(series, times[0] - 1) is None


@pytest.mark.parametrize(
    ("t_ns", "energy_j", "problem"),
    [
        ((1,), (1.0,), "two instants"),
        ((1, 2), (1.0,), "two instants"),
        ((2, 2), (1.0, 2.0), "do not increase"),
        ((1, 2), (2.0, 1.0), "decreases"),
        ((1, 2), (1.0, float("inf")), "not finite"),
    ],
)
def test_what_cannot_be_played_is_refused(
    tmp_path: Path, t_ns: tuple[int, ...], energy_j: tuple[float, ...], problem: str
) -> None:
    path = tmp_path / "run.msgpack"
    path.write_bytes(msgspec.msgpack.encode(recording(t_ns, energy_j)))
    with pytest.raises(UsageError, match=problem):
        load_recording(path)


def test_no_file_or_no_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERMILLE_REPLAY", raising=False)
    with pytest.raises(MeterUnavailable, match="no recording"):
        open_meter()
    monkeypatch.setenv("PERMILLE_REPLAY", str(tmp_path / "absent.json"))
    with pytest.raises(UsageError, match="is not a recording"):
        open_meter()
    for content in ("{}", '{"unknown": ' + "[" * 100_000):
        (tmp_path / "absent.json").write_text(content)
        with pytest.raises(UsageError, match="is not a recording"):
            open_meter()
