"""The energies of one cell's trials in one boundary, and why some have none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial

import msgspec

from permille.analysis import serving
from permille.analysis.boundaries import Bounded, Members, above_idle, energy_of, members_of
from permille.analysis.cell_summary import TokenEnergy
from permille.analysis.parts import Part, parts_of
from permille.analysis.sums import energy_sums, net_sums, sums_of
from permille.analysis.trial_sums import BlockPlace, Sums
from permille.records.energy import Boundary, Refused
from permille.records.recording import Provenance
from permille.records.trial import Trial
from permille.units import per_1000

MOST_BLOCKS = 1000
"""Trials of a cell whose sessions and blocks a summary keeps."""

NO_INFERENCES = "the file does not say how many inferences there were: import --inferences N"


class CellEnergy:
    """The energies of a cell's finished trials in a boundary, and why some have none."""

    def __init__(self, trials: Sequence[Trial], boundary: Boundary) -> None:
        self.boundary = boundary
        self.done = done = [t for t in trials if t.status == "done"]
        self.chosen = [_query(trial, boundary) for trial in done]
        pairs = zip(done, self.chosen, strict=True)
        self.counted: list[tuple[Trial, int]] = []
        """The trials of :attr:`energies`, and their inferences."""
        self._members: list[tuple[Trial, Members]] = []
        reasons: list[str] = []
        for trial, members in pairs:
            if isinstance(members, Refused):
                reasons.append(members.reason)
                continue
            self._members.append((trial, members))
            # What ran comes first: a query that is too short is repeated in whole passes. Other
            # tools' files may only tell what was planned.
            inferences = trial.phases["query"].inferences or trial.protocol.inferences
            if inferences:
                self.counted.append((trial, inferences))
            else:
                reasons.append(NO_INFERENCES)
        self.problem = reasons[-1] if reasons else None
        # Where no trial has a figure, the problem stands in place of one and is no note.
        self.note = _left_out(reasons, len(done), boundary) if self.counted else ""

    def has_figures_of(self, other: CellEnergy) -> bool:
        """Whether another boundary of the same trials has the same figures, because it has the same
        domains: only its name and notes may differ."""
        return (
            len(self._members) == len(self.done)
            and all(
                not isinstance(theirs, Refused) and mine.domains == theirs.domains
                for (_, mine), theirs in zip(self._members, other.chosen, strict=True)
            )
            and all(
                _idle(trial, self.boundary) == _idle(trial, other.boundary) for trial in self.done
            )
        )

    @cached_property
    def runs(self) -> list[Bounded]:
        """The energies of the trials that have one."""
        return [energy_of(trial.phases["query"], members) for trial, members in self._members]

    @cached_property
    def energies(self) -> list[tuple[Bounded, int]]:
        """The energies of the trials whose inferences are known, and these."""
        # By identity, because a trial holds dicts and so has no hash.
        runs = {id(trial): run for (trial, _), run in zip(self._members, self.runs, strict=True)}
        return [(runs[id(trial)], inferences) for trial, inferences in self.counted]

    @cached_property
    def _nets(self) -> list[tuple[float, float]]:
        """Joules above idle of each trial that has a baseline, with the edges, k = 1."""
        nets = [
            above_idle(bounded, query.seconds, trial.phases.get("idle"), self.boundary)
            for (trial, _), (bounded, _) in zip(self.counted, self.energies, strict=True)
            for query in [trial.phases["query"]]
        ]
        return [net for net in nets if net is not None]

    @cached_property
    def energy(self) -> Sums | None:
        """Joules per 1,000 inferences, with the precision requested for the last trial."""
        # A later run may have changed the precision; its rule is the one that ended the repeats.
        asked = self.done[-1].stopping if self.done else None
        return self._with_blocks(energy_sums(self.energies, asked))

    def net(self) -> Sums | None:
        """The same above idle; None unless every trial has a baseline, because a mean over some of
        them would not match the gross figure."""
        return self._above_idle([n for _, n in self.energies], self.energy)

    def per_token(self) -> tuple[TokenEnergy | None, TokenEnergy | None]:
        """Joules per 1,000 tokens, and the same above idle."""
        output, net_output = self.per(serving.output_tokens)
        every, net_every = self.per(serving.all_tokens)
        return (
            TokenEnergy(output=output, every=every) if output else None,
            TokenEnergy(output=net_output, every=net_every) if net_output else None,
        )

    def per_unit(self) -> tuple[dict[str, Sums], dict[str, Sums]]:
        """Joules per 1,000 of each known unit (:func:`units_of`), and the same above idle."""
        gross, net = {}, {}
        for unit, name in units_of(self.counted[0][0].cell.task if self.counted else "").items():
            of_unit, net_of_unit = self.per(partial(_count, name))
            if of_unit is not None:
                gross[unit] = of_unit
            if net_of_unit is not None:
                net[unit] = net_of_unit
        return gross, net

    def per(self, units_of: Callable[[Trial], float | None]) -> tuple[Sums | None, Sums | None]:
        """Joules per 1,000 units, gross and above idle; None unless every trial knows how many."""
        units = []
        for trial, _ in self.counted:
            if (n := units_of(trial)) is None:
                return None, None
            units.append(n)
        gross = self._with_blocks(
            energy_sums([(b, n) for (b, _), n in zip(self.energies, units, strict=True)])
        )
        return gross, self._above_idle(units, gross)

    def _above_idle(self, units: Sequence[float], gross: Sums | None) -> Sums | None:
        if len(self._nets) != len(self.energies):
            return None
        nets = [
            (per_1000(net_j, n), per_1000(edge_j, n))
            for (net_j, edge_j), n in zip(self._nets, units, strict=True)
        ]
        return self._with_blocks(net_sums(nets, gross))

    def _with_blocks(self, sums: Sums | None) -> Sums | None:
        if sums is None:
            return None
        return msgspec.structs.replace(
            sums,
            block_values=sums.values if self._places else (),
            places=self._places,
            rerun_precision=self.done[-1].rerun_precision,
        )

    @cached_property
    def _places(self) -> tuple[BlockPlace, ...]:
        """The sessions and blocks of the trials; empty if one does not know its own, or if they are
        so many that keeping them all would cost more than they tell."""
        trials = [trial for trial, _ in self.counted]
        if not 0 < len(trials) <= MOST_BLOCKS:
            return ()
        # Machines with equal environments are pooled, and are a level of variation all the same.
        known = all(trial.machine is not None for trial in trials)
        places = [
            BlockPlace(t.session, t.block, t.machine or "" if known else t.environment.fingerprint)
            for t in trials
            if t.session is not None and t.block is not None
        ]
        return tuple(places) if len(places) == len(trials) else ()

    def seconds(self) -> Sums | None:
        """Seconds per 1,000 inferences."""
        each = [per_1000(t.phases["query"].seconds, n) for t, n in self.counted]
        return sums_of(each, 0.0, 0.0, 0.0) if each else None

    def domains(self) -> tuple[str, ...]:
        """The domains in the boundary."""
        return self.runs[0].domains if self.runs else ()

    def parts(self) -> tuple[Part, ...]:
        """The contribution of each domain."""
        runs = [(t.phases["query"], t.phases.get("idle"), n) for t, n in self.counted]
        return parts_of(runs, self.domains())

    def notes(self) -> Iterator[str]:
        """Why trials are left out, and the notes of the others' energies."""
        yield self.note
        for _, members in self._members:
            yield members.note

    def provenance(self) -> Provenance | None:
        """The weakest provenance of the trials: a mean is no better than its worst figure."""
        return max((b.provenance for b in self.runs), key=lambda p: p.weakness, default=None)


def _left_out(reasons: Sequence[str], done: int, boundary: Boundary) -> str:
    """The note on the trials that a mean leaves out; empty without any."""
    if not reasons:
        return ""
    # One reason may name figures of its own trial ("0.1 s is uncertain by ±30 %").
    first = "" if len(set(reasons)) == 1 else "the first of them, "
    return (
        f"{len(reasons)} of {done} trials have no figure within {boundary} and are left out:"
        f" {first}{reasons[0]}"
    )


def units_of(task: str) -> dict[str, str]:
    """Units of work besides inferences and generated tokens, and their counts in a trial.

    For embeddings it is a token of the text. The Software Carbon Intensity for AI counts documents
    by the page, but neither defines a page nor names embeddings.
    """
    units = {"image": "images", "audio_second": "audio_seconds"}
    return {**units, "embedded_token": "tokens_in"} if task == "feature-extraction" else units


def _count(name: str, trial: Trial) -> float | None:
    """A quantity that a trial processed; None if it is unknown or 0."""
    # The energy per image of a trial without images is not a figure.
    return trial.counts.get(name) or None


def _query(trial: Trial, boundary: Boundary) -> Members | Refused:
    query = trial.phases.get("query")
    if query is None:
        return Refused(reason="the trial has no query span")
    return members_of(query, boundary)


def _idle(trial: Trial, boundary: Boundary) -> tuple[str, ...] | None:
    """The domains of the baseline; None without one."""
    idle = trial.phases.get("idle")
    members = None if idle is None else members_of(idle, boundary)
    return None if members is None or isinstance(members, Refused) else members.domains
