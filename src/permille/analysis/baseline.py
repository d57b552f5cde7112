"""A study's cells against a stored baseline from the same machine. Pure.

A ratio of two stored figures is only that of two versions if nothing else differs: the machine, its
hardware and meters, and the protocol must be the same, or there is no verdict. What a session
changes (temperature, clocks, a reboot) is part of the ratio where the two sides are from different
sessions, and part of no interval, because each side has only one. Such a ratio is labelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from permille.analysis import intervals
from permille.analysis.cell_summary import Summary
from permille.analysis.compare import with_meters
from permille.analysis.current import current_trials
from permille.analysis.gate import ERROR, Judgement, Verdict, judged
from permille.analysis.sessions import BREAK, instant
from permille.analysis.summaries import summarise
from permille.records import Record
from permille.records.energy import Boundary, Estimate
from permille.records.machine import MachineSession
from permille.records.recording import Provenance
from permille.records.trial import Trial

HARDWARE = ("system", "machine", "cpu", "cpus", "memory_gib", "meters", "devices")
"""The facts of an environment that must not differ. Versions of libraries may: an upgrade is a
change that a gate should judge."""
OTHER_SESSION = (
    "the two sides are from different sessions, and the interval does not include what another"
    " session changes (temperature, clocks, a reboot)"
)

Sessions = Mapping[str, MachineSession]
Key = tuple[str, str, str]
"""Task, dataset and model."""


class VersionTrials(Record):
    """The trials of one cell in one session and environment."""

    trials: tuple[Trial, ...]
    session: MachineSession | None

    @property
    def facts(self) -> dict[str, str]:
        """The facts of its environment."""
        return self.trials[0].environment.facts


class GatedCell(Record):
    """The verdict on one task, dataset and model. ``ratio`` is head over base; ``base`` and
    ``head`` are the numbers of trials. ``reason``: why there is no verdict."""

    task: str
    dataset: str
    model: str
    judgement: Judgement = Judgement(verdict="cannot-tell")
    ratio: Estimate | None = None
    base: int = 0
    head: int = 0
    provenance: Provenance | None = None
    same_session: bool | None = None
    notes: tuple[str, ...] = ()
    reason: str | None = None


class Gated(Record):
    """All cells that both sides have, the confidence of their intervals, and the models that only
    one side has, which are not judged."""

    cells: tuple[GatedCell, ...]
    confidence: float
    only_head: tuple[Key, ...] = ()
    only_base: tuple[Key, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """``fail`` if a cell fails, ``pass`` if there are cells and all of them pass."""
        verdicts = {cell.judgement.verdict for cell in self.cells}
        if "fail" in verdicts:
            return "fail"
        return "pass" if verdicts == {"pass"} else "cannot-tell"


def gated(
    head: Iterable[Trial],
    base: Iterable[Trial],
    sessions: tuple[Sessions, Sessions],
    boundary: Boundary,
    max_increase: float,
) -> Gated:
    """Judge the trials of a study as it is now against those of a baseline.

    The cells share the 5 % of error (Bonferroni), so that a study of many cells does not fail more
    often by chance than one of a single cell.

    Args:
        head: trials of the study's present cells.
        base: trials of the baseline; superseded ones are left out.
        sessions: those of the head's store and of the baseline's, by id.
        boundary: which domains count.
        max_increase: the allowed increase, such as 0.05 for 5 %.
    """
    of_head, of_base = _by_key(head), _by_key(current_trials(base))
    both = [key for key in of_head if key in of_base]
    confidence = 1 - ERROR / max(1, len(both))
    cells = []
    for key in both:
        sides = _sides(of_head[key], sessions[0]), _sides(of_base[key], sessions[1])
        cells.append(_cell(key, *sides, boundary, max_increase, confidence))
    return Gated(
        cells=tuple(cells),
        confidence=confidence,
        only_head=tuple(key for key in of_head if key not in of_base),
        only_base=tuple(key for key in of_base if key not in of_head),
    )


def _by_key(trials: Iterable[Trial]) -> dict[Key, list[Trial]]:
    keyed: dict[Key, list[Trial]] = {}
    for trial in trials:
        cell = trial.cell
        # Not by the cell's id, which changes with the model's files, settings and code: a gate
        # judges just these changes.
        keyed.setdefault((cell.task, cell.dataset, cell.model), []).append(trial)
    return keyed


def _sides(trials: Iterable[Trial], sessions: Sessions) -> list[VersionTrials]:
    """The trials by session and environment, the newest last."""
    groups: dict[tuple[str | None, str], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.session, trial.environment.fingerprint), []).append(trial)
    sides = [
        VersionTrials(trials=tuple(group), session=sessions.get(session) if session else None)
        for (session, _), group in groups.items()
    ]
    # Times in UTC and one form (ISO 8601) have the order of their texts.
    return sorted(sides, key=lambda side: max(trial.started for trial in side.trials))


def _cell(
    key: Key,
    heads: Sequence[VersionTrials],
    bases: Sequence[VersionTrials],
    boundary: Boundary,
    max_increase: float,
    confidence: float,
) -> GatedCell:
    """The verdict on the newest pair of sides that may be compared, of one session if there is
    one."""
    task, dataset, model = key
    cell = GatedCell(task=task, dataset=dataset, model=model)
    pairs = [(h, b) for h in heads for b in bases if why_not(h, b) is None]
    if not pairs:
        return msgspec.structs.replace(cell, reason=why_not(heads[-1], bases[-1]))
    together = [(h, b) for h, b in pairs if _same_session(h, b)]
    # Sides are sorted by age, and so are pairs of them: the last has the newest head, and the
    # newest baseline that this may be compared with.
    head, base = (together or pairs)[-1]
    # One summary each: both sides are of current cells, and of one environment.
    a, b = (summarise(side.trials, boundary)[0] for side in (head, base))
    cell = msgspec.structs.replace(
        cell,
        base=b.done,
        head=a.done,
        same_session=bool(together),
        # The weaker of the two: a ratio is no better than its worse side.
        provenance=max(
            (s.provenance for s in (a, b) if s.provenance is not None),
            key=lambda p: p.weakness,
            default=None,
        ),
        notes=tuple(_notes(head, base, together=bool(together))),
    )
    times = _ratio(a, b, confidence)
    if isinstance(times, str):
        return msgspec.structs.replace(cell, reason=times)
    judgement = judged(times, min(a.done, b.done), max_increase)
    return msgspec.structs.replace(cell, ratio=times, judgement=judgement)


def why_not(head: VersionTrials, base: VersionTrials) -> str | None:
    """Why the two sides must not be compared; None if they may be."""
    if head.session is None or base.session is None:
        which = "the study" if head.session is None else "the baseline"
        return f"the trials of {which} do not know the machine they were measured on"
    machine = head.session.machine
    if machine is None or base.session.machine is None:
        return "a machine has no readable id, so that nothing shows that it is the same"
    if machine != base.session.machine:
        return "the baseline is from another machine; measure both versions on one machine"
    differs = _differences(head, base, hardware=True)
    if differs:
        return f"the machine has changed since the baseline: {'; '.join(differs)}"
    if head.trials[0].protocol != base.trials[0].protocol:
        return "the protocol differs from the baseline's (inferences, warm-up, idle, batch or seed)"
    if {t.uid for t in head.trials} & {t.uid for t in base.trials}:
        return "the baseline holds the same trials: measure the study again (permille run --fresh)"
    return None


def _differences(head: VersionTrials, base: VersionTrials, *, hardware: bool) -> list[str]:
    """The facts that differ, of the hardware or of everything else."""
    was, now = base.facts, head.facts
    return [
        f"{name} {was.get(name, 'none')}, now {now.get(name, 'none')}"
        for name in sorted(was.keys() | now.keys())
        if (name in HARDWARE) is hardware and was.get(name) != now.get(name)
    ]


def _same_session(head: VersionTrials, base: VersionTrials) -> bool:
    """Whether both were measured on one boot without a long break between them. Two stores number
    their sessions independently, so that ids alone do not show it."""
    one, other = head.session, base.session
    assert one is not None
    assert other is not None
    if one.id == other.id:
        return True
    if one.boot is None or one.boot != other.boot:
        return False
    first, second = sorted((one, other), key=lambda session: session.started)
    ended, began = instant(first.ended), instant(second.started)
    # Also below 0: sessions of two stores that overlap measured in turn.
    return ended is not None and began is not None and began - ended <= BREAK


def _notes(head: VersionTrials, base: VersionTrials, *, together: bool) -> Iterable[str]:
    if not together:
        yield OTHER_SESSION
    differs = _differences(head, base, hardware=False)
    if differs:
        yield f"changed since the baseline: {'; '.join(differs)}"


def _ratio(head: Summary, base: Summary, confidence: float) -> Estimate | str:
    """Head over base, or why there is none."""
    for name, side in (("the study", head), ("the baseline", base)):
        # A version that fails on what is expensive must not pass by the rest.
        if side.failed:
            return f"{side.failed} trials of {name} failed: {'; '.join(side.reasons)}"
        if side.energy is None:
            return f"{name} has no figure: {side.problem or '; '.join(side.reasons) or 'unknown'}"
    assert head.energy is not None
    assert base.energy is not None
    try:
        plain = intervals.ratio_from(
            *head.energy.for_ratio(), *base.energy.for_ratio(), confidence=confidence
        )
    except ValueError as error:
        return str(error)
    return with_meters(plain, head, base)
