"""Explain which cells are measured again although the study has trials of them, and what
changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from permille.records.trial import Trial
from permille.study.plan.cells import PlannedCell

_SHOWN = 5


def measured_anew(cells: Iterable[PlannedCell], before: Iterable[Trial]) -> Iterator[str]:
    """A sentence for each of ``cells`` that one of the trials ``before`` measured in an older
    form."""
    # By names: the id of a cell is a hash of all that may have changed.
    newest: dict[tuple[str, str, str], Trial] = {}
    for trial in sorted(before, key=lambda trial: trial.started):
        newest[trial.cell.task, trial.cell.dataset, trial.cell.model] = trial
    for planned in cells:
        cell = planned.cell
        old = newest.get((cell.task, cell.dataset, cell.model))
        if old is not None and old.cell.id != cell.id:
            yield (
                f"{cell.model} ({cell.task} / {cell.dataset}) is measured again:"
                f" {_difference(planned, old)} since {old.started[:16].replace('T', ' ')}"
            )


def _difference(planned: PlannedCell, old: Trial) -> str:
    now, then = planned.facts.files, old.facts.files
    names = [name for name in sorted(now.keys() & then.keys()) if now[name] != then[name]]
    changes = [f"{_list(names)} changed"] if names else []
    # A trial from before files were recorded has none, and all of them would seem new.
    if then and (new := sorted(now.keys() - then.keys())):
        changes.append(f"{_list(new)} added")
    if gone := sorted(then.keys() - now.keys()):
        changes.append(f"{_list(gone)} removed")
    if planned.cell.settings != old.cell.settings:
        keys = sorted(
            key
            for key in planned.cell.settings.keys() | old.cell.settings.keys()
            if planned.cell.settings.get(key) != old.cell.settings.get(key)
        )
        changes.append(f"setting {_list(keys)} changed")
    return ", ".join(changes) or "the samples, labels or environment changed"


def _list(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (
        f" and {len(names) - _SHOWN} more" if names[_SHOWN:] else ""
    )
