"""Import a run again. A flushed tracker writes the run's totals so far, so the same run can be
imported first in part and later with more, or all, of its energy."""

from __future__ import annotations

from typing import Literal

import msgspec

from permille.records.energy import Phase, Refused
from permille.records.trial import Trial
from permille.units import kwh_from_joules

KIND = "logged_as"
"""The fact that says what a run's rows are: only rows of one kind are totals of the same thing."""
_ROUNDING = 1e-6

Again = Literal["same", "earlier", "fuller", "other"]


def compare(known: Trial, new: Trial) -> Again:
    """The relation of a new record of a run to the known one."""
    was, now = known.phases.get("query"), new.phases.get("query")
    kinds = {trial.environment.facts.get(KIND) for trial in (known, new)}
    alike = len(kinds) == 1 and None not in kinds
    if was is None or now is None or not alike or _figures(was) == _figures(now):
        return "same"  # or the same run, imported with other options: the known record stays
    if known.cell != new.cell:
        return "other"
    if _grown(was, now):
        return "fuller"
    return "earlier" if _grown(now, was) else "other"


def merged(known: Trial, new: Trial) -> Trial | Refused | None:
    """The replacement for the known record: the more complete one, with a note; None if the known
    one stays; or the reason why the two cannot be of the same run."""
    relation = compare(known, new)
    if relation in ("same", "earlier"):
        return None
    if relation == "other":
        return Refused(
            reason=f"run {new.uid} is already known with other figures ({_total(known)}; here"
            f" {_total(new)}), and neither is a later total of the other; the known record stays"
        )
    # A record that replaces the known one must have been imported with the same options: otherwise
    # a later flush could move the run to another study or change its number of inferences.
    differs = [
        option
        for option, same in (
            ("--study", known.study == new.study),
            ("--inferences", known.protocol == new.protocol),
        )
        if not same
    ]
    if differs or known.environment.fingerprint != new.environment.fingerprint:
        by = " and ".join(differs) or "machine"
        return Refused(
            reason=f"run {new.uid} is more complete here ({_total(new)}; known:"
            f" {_total(known)}), but was imported with another {by}:"
            " import it as before, or into another --store"
        )
    note = f"this replaces an earlier record of the same run ({_total(known)})"
    return msgspec.structs.replace(new, notes=(*new.notes, note))


def _figures(phase: Phase) -> tuple[float, dict[str, float]]:
    return phase.seconds, {name: domain.energy_j for name, domain in phase.domains.items()}


def _grown(was: Phase, now: Phase) -> bool:
    then_s, then_j = _figures(was)
    now_s, now_j = _figures(now)
    return now_s >= then_s * (1 - _ROUNDING) and all(
        now_j.get(name, -1) >= joules * (1 - _ROUNDING) for name, joules in then_j.items()
    )


def _total(trial: Trial) -> str:
    seconds, energy_j = _figures(trial.phases["query"])
    return f"{kwh_from_joules(sum(energy_j.values())):.4g} kWh in {seconds:.4g} s"
