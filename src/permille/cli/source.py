"""Where the reading commands take their figures from: a store, or the study that ships."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from permille.analysis import comparable
from permille.analysis.cell_summary import Summary
from permille.analysis.reference import sessions_of
from permille.analysis.rolled import CELLS
from permille.analysis.summaries import summarise
from permille.cli.study_source import NAME
from permille.errors import UsageError
from permille.escaping import plain
from permille.records import Boundary
from permille.store import REFERENCE_SOURCE, Store
from permille.suggestions import nearest

PUBLISHED_BOUNDARY: Boundary = "node"
"""What the shipped study's published figures are about; the default where it is all there is."""


DAMAGE_SHOWN = 5
"""Lines about a damaged store that a command prints, at most; ``--json`` has them all."""


class SourcedSummaries(NamedTuple):
    """Summaries, their boundary, a line for each thing in the store that could not be read and is
    in none of them, and what people must know of where the figures come from."""

    summaries: list[Summary]
    boundary: Boundary
    damage: list[str]
    notice: str | None = None
    reference: tuple[str, ...] = ()


def say_damage(damage: list[str]) -> int:
    """Warn of what could not be read; the exit code that goes with it."""
    for line in damage[:DAMAGE_SHOWN]:
        print(plain(f"WARNING: left out of these figures: {line}"), file=sys.stderr)
    if len(damage) > DAMAGE_SHOWN:
        print(f"WARNING: … and {len(damage) - DAMAGE_SHOWN} more like it", file=sys.stderr)
    return 1 if damage else 0


def summaries_of(args: argparse.Namespace, *, program: bool) -> SourcedSummaries:
    """The summaries that count, as :func:`all_summaries_of` finds them: without those that newer
    ones supersede."""
    found = all_summaries_of(args, program=program)
    return found._replace(summaries=comparable.current(found.summaries))


def all_summaries_of(args: argparse.Namespace, *, program: bool) -> SourcedSummaries:
    """The summaries that ``--store``, ``--study`` and ``--boundary`` ask for, and their boundary;
    those of all that can be read, where the store is damaged.

    The study that ships with permille answers where its name is given and the store does not
    hold it, and, for people, where no store was named and there is none: a ``program`` would take
    its figures for this machine's. The boundary is ``compute`` unless one is named; for the
    shipped study, that of its published figures.

    Raises:
        StoreError: the store that was named is not there, or cannot be read.
        UsageError: there is no such study, or no store and a program asks.
    """
    named = "PERMILLE_STORE" in os.environ or str(args.store) != "permille.db"
    if args.store.exists() or (named and args.study != NAME):
        found = _from_store(args)
        if found.summaries or found.damage or args.study != NAME:
            return found
    return _shipped(args, program=program)


def _from_store(args: argparse.Namespace) -> SourcedSummaries:
    """The store's own figures; none where it is sound and has none of the shipped study."""
    default = PUBLISHED_BOUNDARY if args.study == NAME else "compute"
    boundary: Boundary = args.boundary or default
    damage: list[str] = []  # the store adds to it as it is read
    with Store(args.store, readonly=True, damage=damage) as store:
        read = _pooled if args.pool else _rolled
        found = list(read(store, args.study, boundary))
        if not found and not damage:
            check_study(store, args)
        reference = reference_sentences(store, args.study)
    return SourcedSummaries(found, boundary, damage, reference=reference)


def reference_sentences(store: Store, study: str | None) -> tuple[str, ...]:
    """What the reference workload tells of the sessions of a study, or of all."""
    references = store.trials(study=study, source=REFERENCE_SOURCE)
    return tuple(
        sentence for session in sessions_of(references) for sentence in session.sentences()
    )


def _shipped(args: argparse.Namespace, *, program: bool) -> SourcedSummaries:
    """The figures that ship with permille, for whoever may be shown them in place of a store's.

    Raises:
        UsageError: another study was named, or a program did not ask for this one by name.
    """
    absent = f"there is no store at {args.store}"
    measuring = "`permille run quickstart` measures this machine"
    if args.study not in (None, NAME):
        raise UsageError(
            f"{absent}, and {args.study!r} does not ship with permille ({NAME} does);"
            " name the study's --store"
        )
    if args.study is None and program:
        raise UsageError(f"{absent}; --study {NAME} is for the shipped figures; {measuring}")
    from permille.analysis.paper import published

    boundary: Boundary = args.boundary or PUBLISHED_BOUNDARY
    notice = f"{absent}: these are the figures of {NAME}, which ship with permille; {measuring}"
    figures = published.summaries(boundary)
    return SourcedSummaries(figures, boundary, [], notice if args.study is None else None)


def check_study(store: Store, args: argparse.Namespace) -> None:
    """Refuse the name of a study that the store does not hold.

    Raises:
        UsageError: it does not; what was meant, or what there is.
    """
    names = store.studies()
    if args.study not in (None, NAME) and args.study not in names:
        hint = nearest(args.study, names) if names else "it holds no trials"
        raise UsageError(f"no study {args.study!r} in {args.store}; {hint}")


def _rolled(store: Store, study: str | None, boundary: Boundary) -> list[Summary]:
    """From the roll-up, which is a row a group however many trials there are; the groups of a
    cell stand together."""
    by_cell: dict[tuple[str, str], list[Summary]] = {}
    for group, found in store.cells(CELLS, study):
        by_cell.setdefault((group.study, group.cell), []).append(
            _within(found.cell.summaries, boundary)
        )
    return [summary for summaries in by_cell.values() for summary in summaries]


def _within(summaries: dict[str, Summary], boundary: Boundary) -> Summary:
    """The facility's joules are the node's: the PUE is applied where carbon is."""
    if boundary in summaries:
        return summaries[boundary]
    return msgspec.structs.replace(summaries["node"], boundary=boundary)


def _pooled(store: Store, study: str | None, boundary: Boundary) -> Iterator[Summary]:
    """Trials of all machines together, which no roll-up holds."""
    for trials in store.by_cell(study):
        yield from summarise(trials, boundary, pool=True)
