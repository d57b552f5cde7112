"""What a run has finished, and on how many machines."""

from __future__ import annotations

import msgspec

from permille.store import Tried
from permille.study.run.ledger import Ledger
from tests.records import cell, trial


def _tried(machine: str | None, repeat: int = 0, status: str = "done", kind: str = "k") -> Tried:
    return Tried("small", repeat, status, kind, machine)  # type: ignore[arg-type]


def test_a_repeat_with_replicas_is_done_once_as_many_machines_have_finished_it() -> None:
    ledger = Ledger(
        [_tried("a"), _tried("a"), _tried(None), _tried("x", kind="other"), _tried("b", 1)],
        lambda _: "k",
        pool=False,
        replicas=2,
    )
    assert (ledger.missing("small", 0), ledger.machines("small", 0)) == (1, ("a",))
    assert (ledger.missing("small", 1), ledger.missing("small", 2)) == (1, 2)
    again = trial(cell=cell("small", id="small"), repeat=0)
    for machine in ("a", "b"):
        ledger.add(msgspec.structs.replace(again, machine=machine))
    assert ledger.done("small", 0)
    assert ledger.machines("small", 0) == ("a", "b")


def test_without_replicas_one_finished_trial_is_enough_wherever_it_was_made() -> None:
    tried = [_tried("a"), _tried("b"), _tried(None, 1), _tried("a", 2, "failed")]
    ledger = Ledger(tried, lambda _: "k", pool=False)
    assert [ledger.missing("small", repeat) for repeat in range(3)] == [0, 0, 1]
    assert (ledger.failures("small", 0), ledger.failures("small", 2)) == (0, 1)


def test_pooled_replicas_may_be_of_other_kinds_of_machine() -> None:
    tried = [_tried("a"), _tried("x", kind="other")]
    assert Ledger(tried, lambda _: "k", pool=True, replicas=2).done("small", 0)


def test_a_trial_without_a_count_of_its_inferences_made_what_was_planned() -> None:
    ledger = Ledger([], lambda _: "k", pool=False)
    counted = trial(36.0, cell=cell("small", id="small"), inferences=500)
    query = msgspec.structs.replace(counted.phases["query"], inferences=None)
    for one in (counted, msgspec.structs.replace(counted, phases={"query": query})):
        ledger.add(one)
    assert ledger.values("small") == [72.0, 72.0]
