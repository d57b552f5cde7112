"""What other processes took of a span: shares, words, and what is not known."""

from __future__ import annotations

import msgspec
import pytest

from permille.energy import disturbance
from permille.records.energy import Disturbance, Phase
from permille.records.recording import CpuSeries, Span
from tests.records import trial

S = 1_000_000_000


def cpu(busy: float, own: float, steal: float = 0.0, cpus: int = 4) -> CpuSeries:
    """10 s in which CPUs were used at these rates."""
    times = range(11)
    return CpuSeries(
        cpus=cpus,
        t_ns=tuple(t * S for t in times),
        busy_s=tuple(100.0 + busy * t for t in times),
        own_s=tuple(7.0 + own * t for t in times),
        steal_s=tuple(steal * t for t in times),
    )


def of(series: CpuSeries | None, t0_s: float = 2.5, t1_s: float = 7.5) -> Disturbance | None:
    return disturbance.of_span(
        series, Span(name="query", t0_ns=round(t0_s * S), t1_ns=round(t1_s * S))
    )


def phase(others: float | None, steal: float = 0.0) -> Phase:
    if others is None:
        return Phase(seconds=1.0, domains={})
    found = Disturbance(others=others, steal=steal, disturbed=max(others, steal) > 0.05)
    return Phase(seconds=1.0, domains={}, disturbance=found)


def test_others_are_what_the_machine_did_less_what_the_run_did() -> None:
    found = of(cpu(busy=3.0, own=1.0))
    assert found is not None
    assert found.others == pytest.approx(0.5)
    assert found.steal == 0.0
    assert found.disturbed


@pytest.mark.parametrize(("others", "disturbed"), [(0.0, False), (0.19, False), (0.25, True)])
def test_from_five_percent_on_a_span_is_disturbed(others: float, disturbed: bool) -> None:
    found = of(cpu(busy=1.0 + others, own=1.0))
    assert found is not None
    assert found.disturbed is disturbed


def test_what_ticks_alone_can_make_is_no_disturbance() -> None:
    found = of(cpu(busy=1.4, own=1.0, cpus=1), 2.0, 2.1)  # 0.04 s of 0.1 s
    assert found is not None
    assert found.others == pytest.approx(0.4)
    assert not found.disturbed


def test_stolen_time_is_no_other_process_and_disturbs_too() -> None:
    found = of(cpu(busy=1.0, own=1.0, steal=1.0))
    assert found is not None
    assert found.others == 0.0
    assert found.steal == pytest.approx(0.25)
    assert found.disturbed
    assert disturbance.notes({"query": Phase(seconds=1.0, domains={}, disturbance=found)}) == [
        "the hypervisor took 25 % of the CPU time during the query span (steal)"
    ]


def test_steal_that_the_system_does_not_report_is_unknown_and_no_machine_is_quiet_without_it() -> (
    None
):
    blind = msgspec.structs.replace(cpu(busy=3.0, own=1.0), steal_s=None)
    found = of(blind)
    assert found is not None
    assert found.others == pytest.approx(0.5)
    assert found.steal is None
    assert found.disturbed  # by other processes
    phases = {"query": Phase(seconds=1.0, domains={}, disturbance=found)}
    assert len(disturbance.notes(phases)) == 1
    assert "up to 50 %" in disturbance.over_runs([phases, phases])[0]
    alone = of(msgspec.structs.replace(blind, own_s=blind.busy_s))
    assert alone is not None
    assert not alone.disturbed
    phases = {"query": Phase(seconds=1.0, domains={}, disturbance=alone)}
    judged = disturbance.only_quiet(trial(phases=phases))
    assert (judged.status, "steal" in (judged.reason or "")) == ("invalid", True)


@pytest.mark.parametrize(
    ("series", "t0_s", "t1_s"),
    [
        (None, 2.0, 3.0),
        (cpu(1.0, 1.0), -1.0, 3.0),
        (cpu(1.0, 1.0), 2.0, 11.0),
        (cpu(0.0, 1.0), 2.0, 9.0),  # a machine whose clock stands still
    ],
)
def test_what_was_not_seen_is_not_known(series: CpuSeries | None, t0_s: float, t1_s: float) -> None:
    assert of(series, t0_s, t1_s) is None


def test_notes_name_the_span_and_its_consequence() -> None:
    said = disturbance.notes({"idle": phase(0.2), "load": phase(0.9), "query": phase(0.43)})
    assert said == [
        "other processes used 20 % of the CPU time during the idle span, which makes the energy"
        " above idle too low",
        "other processes used 43 % of the CPU time during the query span, which is in its energy"
        " and slows it down",
    ]
    assert disturbance.notes({"query": phase(0.01), "idle": phase(None)}) == []


def test_the_share_of_disturbed_runs_is_of_those_that_are_known() -> None:
    runs = [{"query": phase(0.4)}, {"query": phase(0.0)}, {"query": phase(None)}]
    assert disturbance.share_disturbed(runs) == 0.5
    assert disturbance.share_disturbed(runs[2:]) is None


@pytest.mark.parametrize(
    ("others", "status"), [(0.4, "invalid"), (0.01, "done"), (None, "invalid")]
)
def test_a_quiet_machine_is_asked_for(others: float | None, status: str) -> None:
    judged = disturbance.only_quiet(trial(phases={"query": phase(others)}))
    assert judged.status == status
    assert ("--quiet-machine" in (judged.reason or "")) == (status == "invalid")


def test_many_trials_are_one_sentence_with_the_worst() -> None:
    quiet, noisy, stolen = (
        trial(1.0, repeat=n, phases={"query": found})
        for n, found in enumerate((phase(0.01), phase(0.42), phase(0.0, steal=0.5)))
    )
    assert disturbance.over_trials([quiet]) is None
    assert disturbance.over_trials([]) is None
    sentence = disturbance.over_trials([quiet, noisy, stolen])
    assert sentence is not None
    assert sentence.startswith(
        "other processes and the hypervisor (steal) disturbed 2 of 3 trials, with up to 50 % of"
        " the CPU time"
    )


def test_what_the_hypervisor_took_is_not_other_processes() -> None:
    stolen, noisy = {"query": phase(0.01, steal=0.5)}, {"query": phase(0.4)}
    assert disturbance.over_runs([stolen, stolen]) == [
        "the hypervisor (steal) disturbed 2 of 2 runs, with up to 50 % of the CPU time"
    ]
    for runs in ([stolen, stolen], [noisy, noisy], [stolen, noisy]):
        assert disturbance.over_runs(runs)[0].startswith(disturbance.OVER_TRIALS)


def test_a_single_run_keeps_its_own_words_and_many_are_one_sentence() -> None:
    noisy = {"command": phase(0.4)}
    assert disturbance.over_runs([noisy]) == disturbance.notes(noisy)
    assert disturbance.over_runs([noisy, {"command": phase(0.1)}, {"command": phase(0.0)}]) == [
        "other processes disturbed 2 of 3 runs, with up to 40 % of the CPU time"
    ]
    assert disturbance.over_runs([]) == []


def test_a_cells_notes_hold_one_sentence_in_the_place_of_each_trials() -> None:
    from permille.analysis.summaries import summarise

    noisy = []
    for n, share in enumerate((0.2, 0.3)):
        query = msgspec.structs.replace(
            trial(1.0).phases["query"], disturbance=phase(share).disturbance
        )
        notes = (*disturbance.notes({"query": query}), "another note")
        noisy.append(trial(1.0 + n, repeat=n, phases={"query": query}, notes=notes))
    (summary,) = summarise(noisy, "compute")
    assert summary.disturbed == 1.0
    assert summary.notes == ("another note", disturbance.over_trials(noisy))
