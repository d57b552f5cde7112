"""``permille trial UID``: show everything stored with one trial."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from permille.analysis.reference import sessions_of
from permille.cli.arguments import add_json, add_store
from permille.cli.object_storage import called_store
from permille.cli.terminal import print_json
from permille.errors import UsageError
from permille.escaping import plain
from permille.records import JsonOutput, Record
from permille.records.energy import Phase
from permille.records.machine import MachineSession
from permille.records.recording import Domain, Event
from permille.records.trial import Trial
from permille.store import REFERENCE_SOURCE, Raw, Store
from permille.units import format_number, format_seconds

EXAMPLES = """examples:
  permille trial 3f9a                   a unique prefix of a trial's uid
  permille trial 3f9a --json
  permille run study.toml --json-lines  prints the uid of each trial as "trial"
"""
_SHOWN = 10
"""The most trials listed if a prefix is not unique."""


class ShownSpan(Record):
    """A span, from the start of the first."""

    name: str
    start_s: float
    seconds: float
    attributes: dict[str, Any]


class ShownSeries(Record):
    """A domain, and how often it was read."""

    domain: Domain
    readings: int


class ShownRecording(Record):
    """What the recorder kept of the trial."""

    series: tuple[ShownSeries, ...]
    events: tuple[Event, ...]
    marks: int
    shared: bool


class ShownTrial(JsonOutput):
    """What ``permille trial --json`` prints. ``session``: in which it was measured; ``reference``:
    what the reference workload tells of that session. ``durations``: how many inferences have
    their duration kept."""

    trial: Trial
    session: MachineSession | None
    reference: tuple[str, ...]
    spans: tuple[ShownSpan, ...]
    durations: int | None
    recording: ShownRecording | None


OUTPUTS = {"trial": ShownTrial}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille trial``."""
    parser.epilog = EXAMPLES
    parser.add_argument("uid", metavar="UID", help="a trial's uid, or a unique prefix of it")
    add_store(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Show the trial.

    Raises:
        UsageError: no trial, or more than one, has a uid with that prefix.
    """
    with Store(args.store, readonly=True) as store:
        # One more than is listed tells that there are more.
        trial = store.trial(_only(store.uids(args.uid, most=_SHOWN + 1), args))
        # The store has just listed its uid; what is damaged is an error of its own.
        assert trial is not None
        raw = store.raw(trial.uid)
        session = next((one for one in store.sessions() if one.id == trial.session), None)
        reference = _reference(store, trial)
    if args.json:
        print_json(_shown(trial, raw, session, reference))
    else:
        for line in _lines(trial, raw, session):
            print(line)
        for line in reference:
            print(plain(line))
    return 0


def _only(uids: Sequence[str], args: argparse.Namespace) -> str:
    if len(uids) == 1:
        return uids[0]
    if not uids:
        raise UsageError(
            f"no trial in {called_store(args)} has a uid starting with {args.uid!r};"
            " run --json-lines prints the uids"
        )
    more = ", …" if len(uids) > _SHOWN else ""
    raise UsageError(
        f"more than one trial has a uid starting with {args.uid!r}:"
        f" {', '.join(uids[:_SHOWN])}{more}; give a longer prefix"
    )


def _reference(store: Store, trial: Trial) -> tuple[str, ...]:
    """What the reference workload tells of the trial's session."""
    if trial.session is None:
        return ()
    # All sessions: a session is judged by comparing it with the machine's others.
    found = sessions_of(store.trials(source=REFERENCE_SOURCE))
    return tuple(line for one in found if one.session == trial.session for line in one.sentences())


def _shown(
    trial: Trial, raw: Raw | None, session: MachineSession | None, reference: tuple[str, ...]
) -> ShownTrial:
    return ShownTrial(
        trial=trial,
        session=session,
        reference=reference,
        spans=tuple(_spans(raw)),
        durations=len(raw.durations_ns) if raw else None,
        recording=_recording(raw),
    )


def _spans(raw: Raw | None) -> Iterator[ShownSpan]:
    spans = raw.spans if raw else ()
    for span in spans:
        yield ShownSpan(
            name=span.name,
            # Times of the monotonic clock have no date: only differences mean something.
            start_s=(span.t0_ns - spans[0].t0_ns) / 1e9,
            seconds=span.seconds,
            attributes=span.attributes,
        )


def _recording(raw: Raw | None) -> ShownRecording | None:
    recording = raw.recording if raw else None
    if recording is None:
        return None
    return ShownRecording(
        series=tuple(
            ShownSeries(domain=series.domain, readings=len(series.t_ns))
            for series in recording.series
        ),
        events=recording.events,
        marks=len(recording.marks),
        shared=recording.shared,
    )


def _lines(trial: Trial, raw: Raw | None, session: MachineSession | None) -> Iterator[str]:
    """The trial for people, without empty parts."""
    yield plain(f"trial {trial.uid}: {trial.status}")
    if trial.reason:
        yield plain(f"reason: {trial.reason}")
    yield ""
    yield from _pairs("what was run", _what(trial))
    yield from _pairs("settings", trial.cell.settings)
    yield from _pairs("protocol", msgspec.to_builtins(trial.protocol))
    if trial.stopping is not None:
        yield from _pairs("stopping rule", msgspec.to_builtins(trial.stopping))
    yield from _pairs("model", msgspec.to_builtins(trial.facts))
    for span in _spans(raw):
        name = plain(span.name)
        start, lasts = format_seconds(span.start_s), format_seconds(span.seconds)
        yield f"span {name}: from {start}, for {lasts}"
    for name, phase in trial.phases.items():
        yield from _phase(name, phase)
    for title, part in (
        ("latency (s)", trial.latency),
        ("schedule lag (s)", trial.schedule_lag),
        ("single inferences", trial.each),
        ("input and output tokens (joules each)", trial.tokens),
        ("quality", trial.quality),
        ("recorder", trial.overhead),
    ):
        if part is not None:
            yield from _pairs(title, msgspec.to_builtins(part))
    yield from _pairs("counts", trial.counts)
    yield from _listed("notes", trial.notes)
    yield from _listed("last lines printed by the worker", trial.last_lines)
    if session is not None:
        yield from _session(session)
    yield from _pairs(f"environment {trial.environment.fingerprint}", trial.environment.facts)


def _what(trial: Trial) -> dict[str, Any]:
    cell, server = trial.cell, trial.server
    return {
        "study": trial.study,
        "task": cell.task,
        "dataset": cell.dataset,
        "model": cell.model,
        "category": cell.category,
        "backend": cell.backend,
        "cell": cell.id,
        # From 1, as a run's messages count; --json has the record, which counts from 0.
        "repeat": trial.repeat + 1,
        "round": trial.round,
        "started": trial.started,
        "session": trial.session,
        "block": trial.block,
        "device": trial.device,
        "source": trial.source,
        "shared server": server and f"start {server.start}, trial {server.trial} on it",
    }


def _session(session: MachineSession) -> Iterator[str]:
    """The session, and the state of the machine as it began."""
    found = msgspec.to_builtins(session)
    state = found.pop("state")
    gpus = state.pop("gpus")
    yield from _pairs("session", found)
    yield from _pairs("machine as the session began", state)
    for gpu in gpus:
        yield from _pairs(f"{gpu.pop('name')} as the session began", gpu)


def _phase(name: str, phase: Phase) -> Iterator[str]:
    inferences = "" if phase.inferences is None else f", {phase.inferences:,} inferences"
    yield ""
    yield plain(f"phase {name}: {format_seconds(phase.seconds)}{inferences}")
    for domain, energy in phase.domains.items():
        used = "" if energy.in_use else ", not in use"
        joules = format_number(energy.energy_j)
        yield plain(f"  {domain}: {joules} J, {energy.provenance} by {energy.meter}{used}")
    # A domain without a figure is listed: left out, it would seem not to have been there.
    for domain, problem in phase.problems.items():
        yield plain(f"  {domain}: no figure: {problem.reason}")


def _pairs(title: str, values: Mapping[str, Any]) -> Iterator[str]:
    # Compared with each empty value, because 0 and False are valid values.
    known = {key: value for key, value in values.items() if value not in (None, {}, [], "")}
    if known:
        yield plain(f"{title}:")
        width = max(map(len, known))
        for key, value in known.items():
            shown = format_number(value, 6) if isinstance(value, float) else value
            yield plain(f"  {key.ljust(width)}  {shown}")
        yield ""


def _listed(title: str, values: Sequence[str]) -> Iterator[str]:
    if values:
        yield f"{title}:"
        for value in values:
            yield plain(f"  {value}")
        yield ""
