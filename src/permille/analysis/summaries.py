"""Summarise trials: one summary per cell, in one boundary. All in joules, without carbon."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial

import msgspec

from permille.analysis import intervals, serving
from permille.analysis.boundaries import Bounded, Members, above_idle, energy_of, members_of
from permille.analysis.cell_summary import (
    BlockEnergy,
    InferenceFailures,
    Summary,
    Sums,
    TokenEnergy,
)
from permille.analysis.comparable import pooled_by
from permille.analysis.overload import overloaded
from permille.analysis.parts import Part, parts_of
from permille.analysis.quality import nothing_read, over_trials
from permille.energy import disturbance
from permille.records.answers import Quality
from permille.records.energy import Boundary, Refused
from permille.records.recording import Provenance
from permille.records.trial import Stopping, Trial
from permille.units import per_1000

MOST_BLOCKS = 1000
"""Trials of a cell whose sessions and blocks a summary keeps."""


def summarise(trials: Iterable[Trial], boundary: Boundary, *, pool: bool = False) -> list[Summary]:
    """One summary per (study, source, cell, protocol, machine), in order of first appearance.

    Trials of different machines (unless ``pool`` is set, with a note), protocols or sources are
    never pooled. A mean only includes ``done`` trials whose query phase has a figure in the
    boundary.
    """
    return [
        _within(_shared(group), group, _Collected(group, boundary))
        for group in grouped(trials, pool=pool)
    ]


def by_boundary(trials: Sequence[Trial], boundaries: Iterable[Boundary]) -> dict[str, Summary]:
    """The summaries of one group of trials in several boundaries, as :func:`summarise` has them;
    what does not depend on the boundary is worked out once."""
    shared = _shared(trials)
    found: dict[str, tuple[_Collected, Summary]] = {}
    for boundary in boundaries:
        collected = _Collected(trials, boundary)
        alike = next(
            (known for known in found.values() if collected.has_figures_of(known[0])), None
        )
        summary = (
            _within(shared, trials, collected)
            if alike is None
            else msgspec.structs.replace(
                alike[1], boundary=boundary, notes=_notes(shared, trials, collected)
            )
        )
        found[boundary] = (collected, summary)
    return {boundary: summary for boundary, (_, summary) in found.items()}


def energy_per_1000(
    trials: Sequence[Trial], boundary: Boundary, units_of: Callable[[Trial], float | None]
) -> tuple[Sums | None, Sums | None]:
    """Joules per 1,000 units of one group of trials, and the same above idle; None unless every
    trial with a figure knows its units."""
    return _Collected(trials, boundary).per(units_of)


def grouped(trials: Iterable[Trial], *, pool: bool = False) -> list[list[Trial]]:
    """Group the trials that may be pooled."""
    groups: dict[tuple[str, ...], list[Trial]] = {}
    for trial in trials:
        groups.setdefault(pooled_by(trial, across_machines=pool), []).append(trial)
    return list(groups.values())


class _Collected:
    """The figures of a cell's finished trials in a boundary, and why some have none."""

    def __init__(self, trials: Sequence[Trial], boundary: Boundary) -> None:
        self.boundary = boundary
        self.done = done = [t for t in trials if t.status == "done"]
        self.chosen = [_query(trial, boundary) for trial in done]
        pairs = zip(done, self.chosen, strict=True)
        self.counted: list[tuple[Trial, int]] = []
        """The trials of :attr:`energies`, and their inferences."""
        self.problem: str | None = None
        self._members: list[tuple[Trial, Members]] = []
        for trial, members in pairs:
            if isinstance(members, Refused):
                self.problem = members.reason
                continue
            self._members.append((trial, members))
            inferences = trial.phases["query"].inferences or trial.protocol.inferences
            if inferences:
                self.counted.append((trial, inferences))
            else:
                self.problem = (
                    "the file does not say how many inferences there were: import --inferences N"
                )
        left_out = len(done) - len(self._members)
        self.note = (
            f"{left_out} of {len(done)} trials have no figure within {boundary} and are left out:"
            f" {self.problem}"
            if left_out and self._members
            else ""
        )

    def has_figures_of(self, other: _Collected) -> bool:
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
        return self._with_blocks(_net_sums(nets, gross))

    def _with_blocks(self, sums: Sums | None) -> Sums | None:
        if sums is None:
            return None
        return msgspec.structs.replace(
            sums,
            blocks=self._blocks(sums.values),
            rerun_precision=self.done[-1].rerun_precision,
        )

    def _blocks(self, values: Sequence[float]) -> tuple[BlockEnergy, ...]:
        """The trials' values with their sessions and blocks; empty if one does not know its own, or
        if they are so many that keeping them all would cost more than they tell."""
        trials = [trial for trial, _ in self.counted]
        if not 0 < len(trials) <= MOST_BLOCKS:
            return ()
        # Machines with equal environments are pooled, and are a level of variation all the same.
        known = all(trial.machine is not None for trial in trials)
        blocks = [
            BlockEnergy(
                session=t.session,
                block=t.block,
                value=value,
                machine=t.machine or "" if known else t.environment.fingerprint,
            )
            for t, value in zip(trials, values, strict=True)
            if t.session is not None and t.block is not None
        ]
        return tuple(blocks) if len(blocks) == len(trials) else ()

    def seconds(self) -> Sums | None:
        """Seconds per 1,000 inferences."""
        each = [per_1000(t.phases["query"].seconds, n) for t, n in self.counted]
        return _sums(each, 0.0, 0.0, 0.0) if each else None

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


def units_of(task: str) -> dict[str, str]:
    """Units of work besides inferences and generated tokens, and their counts in a trial.

    For embeddings it is a token of the text. The Software Carbon Intensity for AI counts documents
    by the page, but neither defines a page nor names embeddings.
    """
    units = {"image": "images", "audio_second": "audio_seconds"}
    return {**units, "embedded_token": "tokens_in"} if task == "feature-extraction" else units


def _count(name: str, trial: Trial) -> float | None:
    """A quantity that a trial processed; None if it is unknown or 0."""
    return trial.counts.get(name) or None


def _shared(trials: Sequence[Trial]) -> Summary:
    """What a summary of these trials says in any boundary; the rest is empty."""
    first = trials[0]
    ended = Counter(t.status for t in trials)
    done = [t for t in trials if t.status == "done"]
    # A failed trial may have ended before its device and parameters were known.
    facts = done[0] if done else first
    return Summary(
        study=first.study,
        source=first.source,
        cell=first.cell,
        fingerprint="+".join(_machines(trials)),
        boundary="node",
        device=facts.device,
        params=facts.facts.params,
        energy=None,
        net=None,
        seconds=None,
        provenance=None,
        latency_p50_s=_mean(t.latency.p50 if t.latency else None for t in done),
        latency_p95_s=_mean(t.latency.p95 if t.latency else None for t in done),
        inference_p50_j=_mean(t.each.p50_j if t.each else None for t in done),
        inference_p95_j=_mean(t.each.p95_j if t.each else None for t in done),
        quality=_quality(done),
        failures=_failures(done),
        done=ended["done"],
        failed=ended["failed"],
        invalid=ended["invalid"],
        inferences_per_s=serving.inferences_per_s(done),
        tokens_per_s=serving.tokens_per_s(done),
        request_s=serving.request(done),
        first_token_s=serving.first_token(done),
        output_token_s=serving.output_token(done),
        tokens_each=serving.tokens_each(done),
        token_split=serving.token_split(done),
        disturbed=disturbance.share_disturbed([t.phases for t in done]),
        overloaded=sum(map(overloaded, trials)),
        reasons=_reasons(trials),
        notes=_trial_notes(done),
        protocol=first.protocol,
        last_started=max(t.started for t in trials),
    )


def _within(shared: Summary, trials: Sequence[Trial], found: _Collected) -> Summary:
    """The summary of these trials in a boundary; ``shared`` is what all of them have in common."""
    energy = found.energy
    per_token, net_per_token = found.per_token()
    per_unit, net_per_unit = found.per_unit()
    return msgspec.structs.replace(
        shared,
        boundary=found.boundary,
        energy=energy,
        run=energy_sums([(bounded, 1000) for bounded in found.runs]),
        net=found.net(),
        seconds=found.seconds(),
        per_token=per_token,
        net_per_token=net_per_token,
        per_unit=per_unit,
        net_per_unit=net_per_unit,
        provenance=found.provenance(),
        domains=found.domains(),
        parts=found.parts(),
        problem=_problem(trials, found, energy),
        notes=_notes(shared, trials, found),
    )


def _notes(shared: Summary, trials: Sequence[Trial], found: _Collected) -> tuple[str, ...]:
    return (
        *_pooled(_machines(trials)),
        *_unread(shared.quality),
        *_without_sessions(found.counted),
        # The same may be a note of a trial and of its energy.
        *dict.fromkeys(note for note in (*found.notes(), *shared.notes) if note),
    )


def _machines(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(t.environment.fingerprint for t in trials))


def _quality(done: Sequence[Trial]) -> Quality | None:
    return over_trials([t.quality for t in done if t.quality is not None])


def _problem(trials: Sequence[Trial], found: _Collected, energy: Sums | None) -> str | None:
    """Why a cell has no figure: the problem of its finished trials, or how the last trial ended."""
    if energy is not None:
        return None
    if found.done:
        return found.problem
    return next((t.reason for t in reversed(trials) if t.reason), "no finished trial")


def _reasons(trials: Sequence[Trial]) -> tuple[str, ...]:
    """The distinct reasons of trials that are not done."""
    return tuple(dict.fromkeys(f"{t.status}: {t.reason}" for t in trials if t.status != "done"))


def _pooled(machines: Sequence[str]) -> tuple[str, ...]:
    if len(machines) == 1:
        return ()
    return (f"pooled over {len(machines)} machines or versions (--pool): {', '.join(machines)}",)


def _without_sessions(counted: Sequence[tuple[Trial, int]]) -> tuple[str, ...]:
    """Why the interval says nothing of sessions although the trials know theirs."""
    if len(counted) <= MOST_BLOCKS or any(trial.session is None for trial, _ in counted):
        return ()
    return (
        f"more than {MOST_BLOCKS:,} trials: the interval is over the trials and says nothing of"
        " their sessions",
    )


def _unread(quality: Quality | None) -> tuple[str, ...]:
    if not nothing_read(quality):
        return ()
    return ("none of its answers could be read, and all count as wrong: check the model's setup",)


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


def energy_sums(
    energies: Sequence[tuple[Bounded, float]], asked: Stopping | None = None
) -> Sums | None:
    """Sums of (energy, inferences or other units) of each trial; None without one."""
    if not energies:
        return None
    total_j = math.fsum(b.energy_j for b, _ in energies)
    if total_j <= 0:
        return _sums([per_1000(b.energy_j, n) for b, n in energies], 0.0, 0.0, 0.0)
    # Edge errors are independent between trials; the accuracy is the same error in all of them.
    edge = 2 * math.sqrt(math.fsum(b.edge_j**2 for b, _ in energies)) / total_j
    low = math.fsum(b.low_j for b, _ in energies) / total_j
    high = math.fsum(b.high_j for b, _ in energies) / total_j
    return _sums([per_1000(b.energy_j, n) for b, n in energies], low, high, edge, asked)


def _sums(
    values: Sequence[float],
    low: float,
    high: float,
    edge: float,
    asked: Stopping | None = None,
) -> Sums:
    n, mean, sd = intervals.summary(values)
    return Sums(
        n=n,
        mean=mean,
        sd=sd,
        low=math.hypot(low, edge),
        high=math.hypot(high, edge),
        edge=edge,
        values=tuple(values),
        asked=asked,
    )


def _net_sums(nets: Sequence[tuple[float, float]], energy: Sums | None) -> Sums | None:
    """Sums of net energies, each with its edges. A meter's accuracy is relative to its reading,
    which is larger than the net energy: the absolute uncertainty is that of the gross energy, so
    the relative one is larger."""
    if not nets or energy is None:
        return None
    values = [value for value, _ in nets]
    n, mean, _ = intervals.summary(values)
    if not mean:
        return None
    scale = energy.mean / abs(mean)
    edge = 2 * math.sqrt(math.fsum(edge**2 for _, edge in nets)) / n / abs(mean)
    low, high = (
        math.sqrt(max(0.0, side**2 - energy.edge**2)) for side in (energy.low, energy.high)
    )
    found = _sums(values, low * scale, high * scale, edge)
    return msgspec.structs.replace(found, signed=True)


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of the known values."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _failures(done: Sequence[Trial]) -> InferenceFailures | None:
    known = [
        (int(trial.counts["failed"]), query.inferences)
        for trial in done
        if "failed" in trial.counts
        and (query := trial.phases.get("query")) is not None
        and query.inferences
    ]
    if not known:
        return None
    failed = sum(failed for failed, _ in known)
    return InferenceFailures(failed=failed, tried=failed + sum(done for _, done in known))


def _trial_notes(done: Sequence[Trial]) -> tuple[str, ...]:
    """The trials' own notes. What others took of each trial is one sentence for all of them."""
    notes: list[str] = []
    for trial in done:
        if trial.notes:
            single = disturbance.notes(trial.phases)
            notes += [note for note in trial.notes if note not in single]
    notes.append(disturbance.over_trials(done) or "")
    return tuple(dict.fromkeys(notes))
