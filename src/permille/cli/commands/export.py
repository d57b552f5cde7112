"""``permille export FORMAT FILE``: write the results for a spreadsheet, a program, a model card, or
as another tool's file."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Collection, Iterator, Set
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from permille import plugins
from permille.analysis.current import current_groups
from permille.analysis.results import Results, rows_in_place_of
from permille.analysis.rolled import BoundaryReading
from permille.carbon.settings import CarbonSettings
from permille.cli.arguments import add_impacts, add_reading, add_store, carbon_of, impacts_of
from permille.cli.source import check_study, refuse_unmatched, say_damage, summaries_of
from permille.collector import without_collector
from permille.errors import UsageError
from permille.escaping import plain
from permille.exporters import OWN_OPTIONS, Export, Exporter, WithOptions
from permille.output import STANDARD_OUTPUT, write_whole
from permille.records.cell import Cell
from permille.records.energy import Boundary
from permille.records.trial import Trial
from permille.store import Store
from permille.units import counted

Item = TypeVar("Item")

_MOST_BYTES = 10_000_000
"""The largest page for ``--into``."""

EXAMPLES = """examples:
  permille export csv results.csv --region FRA
  permille export json - --study quickstart
  permille export model-card - --model MiniLM
  permille export model-card --into README.md  the section in a page; nothing else of it changes
  permille export badge energy.svg --model MiniLM
  permille export label label.html --model MiniLM --region FRA --link https://example.org/run
  permille export html figures.html            the explorer as one file, for any browser
  permille export codecarbon emissions.csv     one line per trial, for tools that read CodeCarbon's
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille export``."""
    parser.epilog = EXAMPLES
    parser.add_argument("format", choices=plugins.names("exporters"), help="the format")
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="the file to write; - is standard output"
    )
    parser.add_argument(
        "--into",
        metavar="PAGE",
        type=Path,
        help="put the section into this existing page, or renew it there (model-card)",
    )
    parser.add_argument("--model", help="only the model of this id; if none, those that contain it")
    parser.add_argument("--dataset", help="only the dataset of this name; if none, as for --model")
    parser.add_argument(
        "--link",
        metavar="URL",
        help="where the figure can be checked (label, label-svg, report, eval-results)",
    )
    parser.add_argument(
        "--benchmark",
        metavar="OWNER/DATASET:TASK",
        help="the benchmark on the Hub whose score an energy is (eval-results)",
    )
    add_store(parser)
    add_reading(parser, market=True)
    add_impacts(parser)


@without_collector()
def run(args: argparse.Namespace) -> int:
    """Write the export completely, or not at all."""
    exporter: Exporter = plugins.load("exporters", args.format, UsageError)
    if (args.file is None) == (args.into is None):
        raise UsageError(f"name one file to write: permille export {args.format} FILE")
    given = _given(args)
    own = exporter.own_options if isinstance(exporter, WithOptions) else frozenset()
    for name in sorted((given & OWN_OPTIONS) - own):
        raise UsageError(f"the format {args.format} has no --{name.replace('_', '-')}: remove it")
    if (reason := exporter.refusal(given - OWN_OPTIONS)) is not None:
        raise UsageError(reason)
    request = _Reading(args)
    # All in memory before anything is written: an error leaves an earlier file as it was.
    export = exporter.export(request)
    for note in export.notes:
        print(plain(note), file=sys.stderr)
    # Before the refusal below: damage may be why nothing matches.
    code = say_damage([*request.damage, *export.damage])
    if export.rows == 0:
        raise UsageError("no matching trials to export; see: permille results")
    _put(args, export)
    return code


def _given(args: argparse.Namespace) -> Set[str]:
    """The options that were given, apart from the format, the store and the file name."""
    options = vars(args).keys() - {"format", "file", "store", "command", "words"}
    # Not by truthiness: --intensity 0 is an option that was given.
    values = {name: getattr(args, name) for name in options}
    given = {name for name, value in values.items() if value is not None and value is not False}
    return given | {STANDARD_OUTPUT} if args.file == STANDARD_OUTPUT else given


class _Reading:
    """The requested data; the store is opened only when an exporter reads from it."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self.damage: list[str] = []
        self.boundary: Boundary = args.boundary or "compute"
        self.link: str | None = args.link
        self.benchmark: str | None = args.benchmark

    # Cached: with --live, each call is a request to an API.
    @cached_property
    def carbon(self) -> CarbonSettings:
        return carbon_of(self._args)

    @property
    def store(self) -> Path | None:
        """The store; None if none was named and none exists: the shipped study is shown alone."""
        path: Path = self._args.store
        named = "PERMILLE_STORE" in os.environ or str(path) != "permille.db"
        return path if named or path.exists() else None

    def results(self, *, fronts: bool = True) -> Results:
        args, carbon = self._args, self.carbon
        # As for a program: in a file, shipped figures would look like this machine's.
        summaries, boundary, damage, *_ = summaries_of(args, program=True)
        if not summaries:
            say_damage(damage)
            raise UsageError("no results to export; see: permille results")
        summaries = _chosen(args, summaries, lambda s: s.cell, damage)
        self.damage += damage
        added = impacts_of(args, carbon)
        rows = rows_in_place_of(summaries, carbon, net=args.net, added=added, fronts=fronts)
        return Results.of(rows, boundary, carbon, net=args.net, damage=damage, added=added)

    def trials(self) -> Iterator[Trial]:
        with Store(self._args.store, readonly=True, damage=self.damage) as store:
            check_study(store, self._args)
            # Any boundary will do: which cells are superseded depends on when they were measured.
            kept = current_groups(store.cells(BoundaryReading("node"), self._args.study))
            chosen = _chosen(self._args, kept, lambda one: one[1].cell, self.damage)
            yield from store.of_groups(group for group, _ in chosen)


def _chosen(
    args: argparse.Namespace,
    items: list[Item],
    cell_of: Callable[[Item], Cell],
    damage: list[str],
) -> list[Item]:
    """The items of the model and dataset that were named.

    Raises:
        UsageError: no item is of the model, or of the dataset.
    """
    for option in ("model", "dataset"):
        wanted = getattr(args, option)
        if wanted is None or not items:
            continue
        names = [getattr(cell_of(item), option) for item in items]
        known = _matching(names, wanted)
        if not known:
            refuse_unmatched(option, wanted, names, damage)
        items = [item for item, name in zip(items, names, strict=True) if name in known]
    return items


def _matching(names: Collection[str], wanted: str) -> set[str]:
    # Exactly this name first: a model whose id begins another's can be chosen too. The case tells
    # BERT from distilbert, but is forgiven where nothing has it.
    return (
        {name for name in names if name == wanted}
        or {name for name in names if wanted in name}
        or {name for name in names if wanted.casefold() in name.casefold()}
    )


def _put(args: argparse.Namespace, export: Export) -> None:
    """Write to standard output or a file; if that fails, an existing file stays as it was."""
    if args.into is not None:
        _put_into(args.into, export.content, args.store)
        return
    if args.file == STANDARD_OUTPUT:
        # Bytes: an export has an encoding and line ends of its own, and may be Parquet.
        sys.stdout.buffer.write(export.content)
        return
    # never: a typing error must not replace the store by its own export.
    write_whole(Path(args.file), export.content, never=args.store)
    if export.rows is None:
        about = f", {export.about}" if export.about else ""
        print(plain(f"{args.file}: {len(export.content) / 1000:,.0f} kB{about}"))
    else:
        written = counted(export.rows, "row is", "rows are")
        print(plain(f"{written} in {args.file}"), file=sys.stderr)


def _put_into(page: Path, section: bytes, store: Path) -> None:
    """Put the section into an existing page, or renew it there."""
    from permille.exporters.section import renewed

    try:
        with page.open("rb") as file:
            # One byte more tells that there is more, whatever the file's size is said to be.
            before = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {page}: {error.strerror}") from error
    if len(before) > _MOST_BYTES:
        raise UsageError(f"{page} is larger than {_MOST_BYTES // 1_000_000} MB: is it a page?")
    try:
        after = renewed(before, section)
    except UsageError as error:
        raise UsageError(f"cannot change {page}: {error}") from error
    write_whole(page, after, never=store)
    print(plain(f"the section is in {page}"), file=sys.stderr)
