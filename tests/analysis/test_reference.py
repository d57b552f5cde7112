"""The reference workload: sessions that are off, drift within one, and what chance allows."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from permille.analysis.reference import SessionReference, against_others, drift, sessions_of
from permille.records.energy import Disturbance
from permille.records.trial import Trial
from tests.records import trial


def references(session: str, energies: list[float]) -> list[Trial]:
    return [
        trial(
            energy,
            repeat=n,
            session=session,
            started=f"2026-01-01T10:{n:02}:00+00:00",
            uid=f"{session}-{n}",
        )
        for n, energy in enumerate(energies)
    ]


def found(*trials: list[Trial]) -> dict[str, SessionReference]:
    return {one.session: one for one in sessions_of(t for group in trials for t in group)}


def noisy(mean: float, n: int, seed: int) -> list[float]:
    luck = random.Random(seed)
    return [mean * math.exp(luck.gauss(0, 0.005)) for _ in range(n)]


def test_a_session_that_is_off_says_so() -> None:
    sessions = found(*(references(f"s{i}", noisy(36.0 if i else 40.0, 6, i)) for i in range(4)))
    off = sessions["s0"]
    assert off.energy is not None
    assert off.energy.value == pytest.approx(40 / 36 - 1, abs=0.01)
    (sentence,) = off.sentences()
    assert "session s0: the reference workload took 11 % more energy" in sentence
    assert sessions["s0"].references == 6


def test_what_is_within_chance_or_does_not_matter_is_not_said() -> None:
    sessions = found(*(references(f"s{i}", noisy(36.0, 6, 10 + i)) for i in range(3)))
    assert [one.sentences() for one in sessions.values()] == [[], [], []]
    exact = found(references("a", [36.0] * 5), references("b", [36.4] * 5))
    assert exact["a"].energy is not None
    assert exact["a"].energy.allowed == pytest.approx(0.0)
    assert exact["a"].sentences() == []  # 1 % off, however certain


def test_a_drift_within_a_session_is_said() -> None:
    one = found(references("s", [36.0 * 1.01**n for n in range(8)]))["s"]
    assert one.energy is None
    assert one.energy_drift is not None
    assert one.energy_drift.value == pytest.approx(1.01**7 - 1)
    (sentence,) = one.sentences()
    assert "7 % more energy at the end than at the start" in sentence


def test_too_little_to_tell_is_none() -> None:
    assert drift([1.0, 2.0, 3.0]) is None
    assert against_others({"a": [1.0], "b": [2.0]}, "a") is None
    assert against_others({"a": [1.0, 1.1], "b": []}, "a") is None
    assert sessions_of([]) == []


def test_failed_and_disturbed_references_tell_nothing_of_the_machine() -> None:
    sound = references("s", [36.0] * 4)
    failed = msgspec.structs.replace(sound[0], uid="failed", status="failed")
    taken = Disturbance(others=0.5, steal=0.0, disturbed=True)
    query = msgspec.structs.replace(sound[0].phases["query"], disturbance=taken)
    noisy_one = msgspec.structs.replace(sound[0], uid="noisy", phases={"query": query})
    old = msgspec.structs.replace(sound[0], uid="old", session=None)
    assert found([failed, noisy_one, old]) == {}
    assert found([*sound, failed, noisy_one, old])["s"].references == 4


def test_chance_alone_is_rarely_called_a_drift() -> None:
    luck = random.Random(2)
    called = 0
    for _ in range(1000):
        change = drift([luck.gauss(0, 0.05) for _ in range(6)])
        assert change is not None
        called += change.counts
    assert called <= 25  # 1 % expected; 25 of 1,000 has a chance below 1 in 10,000
