"""The source of a study for ``reproduce``, ``audit`` and ``parity``: shipped figures, or a
store."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from permille.errors import StoreError, UsageError

if TYPE_CHECKING:
    from permille.analysis.study_cells import StudyCells

NAME = "power-hungry-2023"


def add_from(parser: argparse.ArgumentParser) -> None:
    """Add ``--from STORE``, to use a store instead of the shipped figures."""
    parser.add_argument(
        "--from",
        dest="from_store",
        metavar="STORE",
        type=Path,
        help="take the figures from this store (default: those that ship with permille)",
    )


def published_study(store_path: Path | None) -> StudyCells:
    """The published study: the shipped figures, or a store that it was imported into.

    Raises:
        StoreError: the store does not contain it.
    """
    from permille.analysis.paper import published
    from permille.analysis.study_cells import archive_of, from_trials
    from permille.store import Store

    # The default store is not looked for: the paper's tables are the same on every machine.
    if store_path is None:
        return published.load()
    with Store(store_path, readonly=True) as store:
        study = from_trials(store.trials(study=NAME), archive_of(store.trials(source=NAME)))
    # Tables of nothing would look like a paper that could not be reproduced.
    if not study.cells:
        raise StoreError(
            f"{store_path} does not contain the study; permille import {NAME} PATH --store STORE"
        )
    return study


def any_study(store_path: Path | None, name: str | None) -> StudyCells:
    """The study called ``name``, or the only one in the store.

    Raises:
        UsageError: the store has several and none is named, or it has no study of that name.
    """
    from permille.analysis.current import current_trials
    from permille.analysis.study_cells import from_trials
    from permille.api.reading import check_has_study
    from permille.store import Store

    if store_path is None:
        if name not in (None, NAME):
            raise UsageError(
                f"study {name!r} does not ship with permille; name its store with --from STORE"
            )
        return published_study(None)
    with Store(store_path, readonly=True) as store:
        check_has_study(store, name)
        names = store.studies() if name is None else [name]
        # Of two studies, a mean over all cells would be that of neither.
        if len(names) != 1:
            there = ", ".join(names) or "no trials"
            raise UsageError(f"name one of the studies of {store_path} with --study: {there}")
        return from_trials(current_trials(store.trials(study=names[0])))
