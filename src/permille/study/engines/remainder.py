"""What of a study is not finished, by the trials in the run's store: jobs report no more of it than
an exit code."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from permille.store import Tried
from permille.study.engines.protocol import StudyRun
from permille.study.plan.grid import Plan
from permille.study.run.schedule import RETRIES


class NotMade(NamedTuple):
    """The trials that nobody has finished: ``given_up`` after their retries; ``failed`` or
    ``invalid`` less often, by the last attempt; ``left_out``, untried ones of a cell that has
    failed; and ``unexplained`` ones, of a cell that has not. ``given_up`` is of the kind of machine
    that has failed most often: one of another kind would still try them."""

    given_up: int
    failed: int
    invalid: int
    left_out: int
    unexplained: int


def missing(run: StudyRun, repeats: range) -> dict[str, int]:
    """The number of repeats of each cell that no machine has finished."""
    done = {(one.cell, one.repeat) for one in _tried(run) if one.status == "done"}
    return {
        planned.cell.id: sum((planned.cell.id, repeat) not in done for repeat in repeats)
        for planned in run.plan.cells
    }


def not_made(
    run: StudyRun, part: Plan, repeats: range, counted: Collection[tuple[str, int]]
) -> NotMade:
    """What is not finished of a ``part`` of the plan, without the repeats, by cell, that are
    ``counted`` as failed already."""
    tried = _tried(run)
    settled = {(one.cell, one.repeat) for one in tried if one.status == "done"} | set(counted)
    attempts: defaultdict[tuple[str, int], list[Tried]] = defaultdict(list)
    for one in tried:
        if one.status != "done":
            attempts[one.cell, one.repeat].append(one)
    failing = {cell for cell, _ in attempts}
    kinds = Counter(
        _kind(attempts.get((planned.cell.id, repeat), ()), failing=planned.cell.id in failing)
        for planned in part.cells
        for repeat in repeats
        if (planned.cell.id, repeat) not in settled
    )
    return NotMade(**{kind: kinds[kind] for kind in NotMade._fields})


def _kind(attempts: Sequence[Tried], *, failing: bool) -> str:
    """The field of :class:`NotMade` in which a repeat counts."""
    if not attempts:
        return "left_out" if failing else "unexplained"
    # For each kind of machine, as the job itself counts them (Ledger).
    most = max(Counter(one.fingerprint for one in attempts).values())
    return "given_up" if most > RETRIES else attempts[-1].status


def _tried(run: StudyRun) -> list[Tried]:
    plan = run.plan
    return [one for protocol in plan.by_protocol for one in run.store.tried(plan.name, protocol)]
