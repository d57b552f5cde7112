"""Where the reading commands take their figures from: a store, or the study that ships."""

from __future__ import annotations

import argparse
import os
from typing import NamedTuple

from permille.analysis.summaries import Summary, summarise
from permille.cli.study_source import NAME
from permille.errors import UsageError
from permille.records import Boundary
from permille.store import Store
from permille.suggestions import nearest

PUBLISHED_BOUNDARY: Boundary = "node"
"""What the shipped study's published figures are about; the default where it is all there is."""


class Source(NamedTuple):
    """Summaries, their boundary, and what people must know of where they come from."""

    summaries: list[Summary]
    boundary: Boundary
    notice: str | None = None


def summaries_of(args: argparse.Namespace, *, program: bool) -> Source:
    """The summaries that ``--store``, ``--study`` and ``--boundary`` ask for.

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
        with Store(args.store, readonly=True) as store:
            boundary: Boundary = args.boundary or (
                PUBLISHED_BOUNDARY if args.study == NAME else "compute"
            )
            found = [
                summary
                for trials in store.by_cell(args.study)
                for summary in summarise(trials, boundary, pool=args.pool)
            ]
            if not found:
                check_study(store, args)
        if found or args.study != NAME:
            return Source(found, boundary)
    absent = f"there is no store at {args.store}"
    measuring = "`permille run quickstart` measures this machine"
    if args.study not in (None, NAME):
        raise UsageError(
            f"{absent}, and {args.study!r} does not ship with permille ({NAME} does);"
            " name the study's --store"
        )
    if args.study is None and program:
        raise UsageError(f"{absent}; --study {NAME} is for the shipped figures; {measuring}")
    from permille.analysis import published

    boundary = args.boundary or PUBLISHED_BOUNDARY
    notice = f"{absent}: these are the figures of {NAME}, which ship with permille; {measuring}"
    return Source(published.summaries(boundary), boundary, notice if args.study is None else None)


def check_study(store: Store, args: argparse.Namespace) -> None:
    """Refuse the name of a study that the store does not hold.

    Raises:
        UsageError: it does not; what was meant, or what there is.
    """
    names = store.studies()
    if args.study not in (None, NAME) and args.study not in names:
        hint = nearest(args.study, names) if names else "it holds no trials"
        raise UsageError(f"no study {args.study!r} in {args.store}; {hint}")
