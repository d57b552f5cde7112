"""The source of the figures that reading commands show: a store, or the shipped study."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from typing import NamedTuple, NoReturn

from permille.analysis import comparable
from permille.analysis.cell_summary import Summary
from permille.analysis.compare import similar_models
from permille.analysis.reference import sessions_of
from permille.api.reading import check_has_study, summaries_in
from permille.cli.study_source import NAME
from permille.errors import UsageError
from permille.escaping import plain
from permille.records.energy import Boundary
from permille.store import REFERENCE_SOURCE, Store
from permille.suggestions import nearest

PUBLISHED_BOUNDARY: Boundary = "node"
"""The boundary of the shipped study's published figures; the default if there is no store."""


DAMAGE_SHOWN = 5
"""The most lines about damage that a command prints; ``--json`` has them all."""


class SourcedSummaries(NamedTuple):
    """Summaries, their boundary, a line for each damaged item of the store that they leave out, and
    a notice for people about the source of the figures."""

    summaries: list[Summary]
    boundary: Boundary
    damage: list[str]
    notice: str | None = None
    reference: tuple[str, ...] = ()


def say_damage(damage: list[str]) -> int:
    """Warn about damaged data; return the exit code."""
    for line in damage[:DAMAGE_SHOWN]:
        print(plain(f"WARNING: left out of these figures: {line}"), file=sys.stderr)
    if len(damage) > DAMAGE_SHOWN:
        print(f"WARNING: … and {len(damage) - DAMAGE_SHOWN} more like it", file=sys.stderr)
    return 1 if damage else 0


def refuse_unmatched(option: str, wanted: str, names: Iterable[str], damage: list[str]) -> NoReturn:
    """Refuse a task, dataset or model that no result is of, and suggest one of these ``names``.

    Raises:
        UsageError: always.
    """
    # Before the refusal: damage may be why nothing matches.
    say_damage(damage)
    known = sorted(set(names))
    meant = similar_models if option == "model" else nearest
    raise UsageError(f"no results of the {option} {wanted!r}; {meant(wanted, known)}")


def summaries_of(args: argparse.Namespace, *, program: bool) -> SourcedSummaries:
    """The summaries that count: those of :func:`all_summaries_of` that are not superseded."""
    read = all_summaries_of(args, program=program)
    return read._replace(summaries=comparable.current(read.summaries))


def all_summaries_of(args: argparse.Namespace, *, program: bool) -> SourcedSummaries:
    """The summaries selected by ``--store``, ``--study`` and ``--boundary``, and their boundary. If
    the store is damaged, they cover everything that can be read.

    The shipped study is used if its name is given and the store does not contain it, and, for
    people, if no store was named and the default one does not exist. A ``program`` would mistake
    its figures for this machine's. The boundary is ``compute`` unless one is given; for the shipped
    study, that of its published figures.

    Raises:
        StoreError: the named store does not exist, or cannot be read.
        UsageError: there is no such study, or there is no store and a program asks.
    """
    # Who names a store means it: its absence must not be answered with the shipped figures.
    named = "PERMILLE_STORE" in os.environ or str(args.store) != "permille.db"
    if args.store.exists() or (named and args.study != NAME):
        read = _from_store(args)
        if read.summaries or read.damage or args.study != NAME:
            return read
    return _shipped(args, program=program)


def _from_store(args: argparse.Namespace) -> SourcedSummaries:
    """The store's own figures: none if it is intact and does not contain the shipped study.

    Raises:
        UsageError: there is no such study, and it is not the shipped one.
    """
    default = PUBLISHED_BOUNDARY if args.study == NAME else "compute"
    boundary: Boundary = args.boundary or default
    damage: list[str] = []  # the store appends to it while it is read
    with Store(args.store, readonly=True, damage=damage) as store:
        summaries = list(summaries_in(store, args.study, boundary, pool=args.pool))
        # With damage, the study may be there and unreadable: no name is wrong then.
        if not summaries and not damage:
            check_study(store, args)
        reference = reference_sentences(store, args.study)
    return SourcedSummaries(summaries, boundary, damage, reference=reference)


def reference_sentences(store: Store, study: str | None) -> tuple[str, ...]:
    """What the reference workload tells of the sessions of a study, or of all."""
    references = store.trials(study=study, source=REFERENCE_SOURCE)
    return tuple(
        sentence for session in sessions_of(references) for sentence in session.sentences()
    )


def _shipped(args: argparse.Namespace, *, program: bool) -> SourcedSummaries:
    """The figures that ship with permille, if they may be shown in place of a store's.

    Raises:
        UsageError: another study was named, or a program did not name this one.
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
    # A user who names the study knows whose figures these are, and expects no notice.
    return SourcedSummaries(figures, boundary, [], notice if args.study is None else None)


def check_study(store: Store, args: argparse.Namespace) -> None:
    """Check that the store contains the study.

    Raises:
        UsageError: it does not; the message suggests a study that exists.
    """
    # The shipped study is there without a store, too: the caller takes its figures then.
    check_has_study(store, None if args.study == NAME else args.study)
