"""Where the reading commands take their figures from: a store, or the study that ships."""

from __future__ import annotations

import argparse
import os
import sys

from permille.analysis import comparable
from permille.analysis.summaries import Summary, summarise
from permille.cli.study_source import NAME
from permille.records import Boundary
from permille.store import Store

PUBLISHED_BOUNDARY: Boundary = "node"
"""What the shipped study's published figures are about; the default where it is all there is."""


def summaries_of(args: argparse.Namespace) -> tuple[list[Summary], Boundary]:
    """The summaries that count, as :func:`all_summaries_of` finds them: without those that newer
    ones supersede."""
    found, boundary = all_summaries_of(args)
    return comparable.current(found), boundary


def all_summaries_of(args: argparse.Namespace) -> tuple[list[Summary], Boundary]:
    """The summaries that ``--store``, ``--study`` and ``--boundary`` ask for, and their boundary.

    The study that ships with permille answers where its name is given and the store does not
    hold it, and, said so, where no store was named and there is none. The boundary is
    ``compute`` unless one is named; for the shipped study, that of its published figures.

    Raises:
        StoreError: the store that was named is not there, or cannot be read.
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
        if found or args.study != NAME:
            return found, boundary
    if args.study not in (None, NAME):
        return [], args.boundary or "compute"
    if args.study is None:
        print(
            f"there is no store at {args.store}: these are the figures of {NAME}, which ship with"
            " permille; `permille run quickstart` measures this machine",
            file=sys.stderr,
        )
    from permille.analysis import published

    boundary = args.boundary or PUBLISHED_BOUNDARY
    return published.summaries(boundary), boundary
