"""A study against a stored baseline: what is judged, what is refused, what is labelled."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from permille.analysis.baseline import OTHER_SESSION, Gated, gated
from permille.records.machine import Environment, MachineSession
from permille.records.trial import Protocol, Trial
from tests.records import cell, trial

ENVIRONMENT = Environment(fingerprint="f", facts={"cpus": "2", "torch": "2.1"})


def session(name: str, **changed: Any) -> MachineSession:
    """An hour's session on machine m, boot b, unless changed."""
    plain: dict[str, Any] = {
        "id": name,
        "machine": "m",
        "boot": "b",
        "started": "2026-01-01T10:00:00+00:00",
        "ended": "2026-01-01T11:00:00+00:00",
    }
    return MachineSession(**(plain | changed))


BASE = session("base")
NEXT = session("head", started="2026-01-01T11:05:00+00:00", ended="2026-01-01T12:00:00+00:00")


def trials(mean_j: float, side: str, model: str = "small", **changed: Any) -> list[Trial]:
    """Three trials, 1 % apart."""
    plain: dict[str, Any] = {
        "model": model,
        "session": side,
        "environment": ENVIRONMENT,
        "cell": cell(model, id=f"{side}-{model}"),
    }
    return [
        trial(mean_j * (1 + 0.01 * (i - 1)), repeat=i, block=i, uid=f"{side}-{model}-{i}",
              **(plain | changed))
        for i in range(3)
    ]  # fmt: skip


def judged(
    head: Sequence[Trial],
    base: Sequence[Trial],
    *,
    of_head: MachineSession = NEXT,
    of_base: MachineSession = BASE,
) -> Gated:
    sessions = {of_head.id: of_head}, {of_base.id: of_base}
    return gated(head, base, sessions, "compute", 0.05)


@pytest.mark.parametrize(
    ("head_j", "verdict"), [(36.0, "pass"), (43.2, "fail"), (37.8, "cannot-tell")]
)
def test_the_interval_decides(head_j: float, verdict: str) -> None:
    outcome = judged(trials(head_j, "head"), trials(36.0, "base"))
    assert outcome.verdict == verdict
    (one,) = outcome.cells
    assert (one.reason, one.same_session, one.notes) == (None, True, ())
    assert one.ratio is not None
    assert one.ratio.value == pytest.approx(head_j / 36.0)


def test_one_cell_that_fails_fails_the_study_and_cells_share_the_error() -> None:
    head = [*trials(36.0, "head"), *trials(50.0, "head", "large"), *trials(1.0, "head", "new")]
    base = [*trials(36.0, "base"), *trials(36.0, "base", "large"), *trials(1.0, "base", "old")]
    outcome = judged(head, base)
    assert outcome.verdict == "fail"
    assert outcome.confidence == pytest.approx(1 - 0.05 / 2)
    assert [key[2] for key in outcome.only_head] == ["new"]
    assert [key[2] for key in outcome.only_base] == ["old"]


@pytest.mark.parametrize(
    "head",
    [
        session("head", boot="after a reboot"),
        session("head", boot=None),
        session("head", started="2026-01-02T11:00:00+00:00", ended="2026-01-02T12:00:00+00:00"),
    ],
)
def test_another_session_is_judged_and_labelled(head: MachineSession) -> None:
    (one,) = judged(trials(36.0, "head"), trials(36.0, "base"), of_head=head).cells
    assert one.judgement.verdict == "pass"
    assert one.same_session is False
    assert one.notes == (OTHER_SESSION,)


def test_a_baseline_of_the_same_session_is_preferred() -> None:
    older = trials(36.0, "base", started="2026-01-01T10:00:00+00:00")
    newer = trials(72.0, "other", started="2026-01-05T10:00:00+00:00", cell=older[0].cell)
    late = "2026-01-05T10:00:00+00:00"
    sessions = {
        "base": BASE,
        "other": session("other", boot="later", started=late, ended="2026-01-05T11:00:00+00:00"),
    }
    outcome = gated(
        trials(36.0, "head"), [*older, *newer], ({"head": NEXT}, sessions), "compute", 0.05
    )
    assert outcome.cells[0].same_session is True
    assert outcome.verdict == "pass"


@pytest.mark.parametrize(
    ("of_head", "changed", "words"),
    [
        (session("head", machine="n"), {}, "from another machine"),
        (session("head", machine=None), {}, "no readable id"),
        (NEXT, {"session": None}, "do not know the machine"),
        (
            NEXT,
            {"environment": Environment(fingerprint="g", facts={"cpus": "4", "torch": "2.1"})},
            "the machine has changed since the baseline: cpus 2, now 4",
        ),
        (NEXT, {"protocol": Protocol(inferences=10)}, "the protocol differs"),
        (NEXT, {"uid": "base-small-1"}, "the baseline holds the same trials"),
        (NEXT, {"phases": {}}, "has no figure"),
        (NEXT, {"status": "failed", "reason": "no such word"}, "failed: no such word"),
    ],
)
def test_what_is_not_comparable_is_refused_with_the_reason(
    of_head: MachineSession, changed: dict[str, Any], words: str
) -> None:
    """Twice the energy, or half of it: neither is a verdict."""
    uid = changed.pop("uid", None)
    head = trials(72.0, "head", **changed)
    if uid:
        head[1] = trial(72.0, model="small", uid=uid, session="head", environment=ENVIRONMENT)
    outcome = judged(head, trials(36.0, "base"), of_head=of_head)
    assert outcome.verdict == "cannot-tell"
    assert words in (outcome.cells[0].reason or "")


def test_an_upgraded_library_is_a_change_that_is_judged_and_noted() -> None:
    upgraded = Environment(fingerprint="g", facts={"cpus": "2", "torch": "2.2"})
    head = trials(50.0, "head", environment=upgraded)
    outcome = judged(head, trials(36.0, "base"))
    assert outcome.verdict == "fail"
    assert outcome.cells[0].notes == ("changed since the baseline: torch 2.1, now 2.2",)


@pytest.mark.slow
def test_equal_versions_fail_in_at_most_2_5_percent_of_gates() -> None:
    """At the limit itself, which is the worst case, at a spread of 3 %."""
    draw = random.Random(1)
    gates, fails = 1000, 0
    for _ in range(gates):
        sides = [
            [
                trial(36.0 * factor * draw.gauss(1, 0.03), repeat=i, uid=f"{name}-{i}",
                      session=name, environment=ENVIRONMENT, cell=cell(id=name))
                for i in range(5)
            ]
            for name, factor in (("head", 1.05), ("base", 1.0))
        ]  # fmt: skip
        fails += judged(*sides).verdict == "fail"
    # 2.5 % and three standard errors of a share from 1,000 gates.
    assert 0 < fails / gates < 0.025 + 3 * (0.025 * 0.975 / gates) ** 0.5
