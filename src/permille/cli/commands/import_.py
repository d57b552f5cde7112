"""``permille import FORMAT PATH``: import other tools' measurements as trials."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from permille import plugins
from permille.cli.arguments import add_json, add_store, positive_int
from permille.errors import ImportDataError
from permille.importers import NAMED, Options, Tally
from permille.records import JsonOutput, Record
from permille.records.energy import Refused
from permille.records.trial import Trial
from permille.units import counted

if TYPE_CHECKING:
    from permille.store import Added, Store

BATCH = 10_000
"""The trials written in one transaction: each waits for the disk."""


EXAMPLES = """examples:
  permille import codecarbon emissions.csv
  permille import codecarbon logs.tar.xz --inferences 1000 --json
  permille import power-hungry-2023 raw.tar.xz --store study.db
"""


class ImportedTrials(Record):
    """The number of new trials, and of those that were already known."""

    new: int
    duplicate: int


class LeftOutRow(Record):
    """A skipped row, and the reason; ``row`` is a line of the file, null for the whole file."""

    file: str
    row: int | None
    reason: str


class ImportReport(JsonOutput):
    """What ``permille import --json`` prints. ``bad`` names the first that were left out, of
    ``bad_count``; ``replaced`` the first records that a fuller one replaced."""

    format: str
    files: int
    rows: int
    trials: ImportedTrials
    bad: tuple[LeftOutRow, ...]
    bad_count: int
    replaced: tuple[str, ...]
    replaced_count: int


OUTPUTS = {"import": ImportReport}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("format", metavar="FORMAT", help=", ".join(plugins.names("importers")))
    parser.add_argument(
        "path", metavar="PATH", type=Path, help="a file, a folder, or a tar or zip archive"
    )
    parser.add_argument("--study", metavar="NAME", help="the study to store the trials under")
    parser.add_argument(
        "--inferences", metavar="N", type=positive_int, help="the number of inferences of one run"
    )
    parser.add_argument(
        "--query-task",
        metavar="NAME",
        default=Options().query_task,
        help="the CodeCarbon task that holds the inferences (default: %(default)s)",
    )
    add_store(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Import; return 0 unless nothing could be imported or the source could not be read to its
    end."""
    from permille.importers.reading.files import Source
    from permille.store import Store

    importer = plugins.load("importers", args.format, ImportDataError)
    source = Source(args.path)
    options = Options(study=args.study, inferences=args.inferences, query_task=args.query_task)
    tally = Tally()
    new = duplicate = replaced_count = 0
    replaced: list[str] = []
    broken: ImportDataError | None = None
    with Store(args.store) as store:
        try:
            for batch in _batches(_located(importer.trials(source, tally, options), tally)):
                stored = _keep(store, batch, tally, replaced)
                new += stored.new
                duplicate += stored.known
                replaced_count += stored.replaced
        except _BrokeOff as error:
            broken = error.reason
            tally.leave_out(str(args.path), None, str(broken))
    report = ImportReport(
        format=args.format,
        files=tally.files,
        rows=tally.rows,
        trials=ImportedTrials(new=new, duplicate=duplicate),
        bad=tuple(LeftOutRow(file=b.file, row=b.row, reason=b.reason) for b in tally.bad),
        bad_count=tally.bad_count,
        replaced=tuple(replaced),
        replaced_count=replaced_count,
    )
    # The report before the error: what came before the break is in the store.
    _show(report, args)
    if broken is not None:
        raise ImportDataError(f"{broken}; everything before that was imported")
    # Exit 0 would look as if something had been imported.
    if not (new or duplicate or replaced_count):
        raise ImportDataError(f"{args.path} contains nothing that {args.format} can import")
    return 0


class _Located(NamedTuple):
    """A trial and its position in the source."""

    trial: Trial
    file: str
    row: int | None


def _located(trials: Iterator[Trial], tally: Tally) -> Iterator[_Located]:
    for trial in trials:
        # At once: the importer is at another row as soon as it is asked for the next trial.
        yield _Located(trial, *tally.at)


def _keep(store: Store, batch: list[_Located], tally: Tally, replaced: list[str]) -> Added:
    """Store a batch, without what a store cannot hold. For a known run, keep the more complete
    record, and report it."""
    from permille.importers.again import merged

    places = iter(batch)

    def refused(found: Trial, reason: str) -> None:
        # The store calls in the batch's order, so that all calls share one iterator. By identity:
        # two rows of a batch may be of one run.
        place = next(place for place in places if place.trial is found)
        tally.leave_out(place.file, place.row, f"run {found.uid}: {reason}")

    def better(known: Trial, found: Trial) -> Trial | None:
        place = next(place for place in places if place.trial is found)
        chosen = merged(known, found)
        if isinstance(chosen, Refused):
            tally.leave_out(place.file, place.row, chosen.reason)
            return None
        # An import may replace every trial; their number is counted by the store.
        if chosen is not None and len(replaced) < NAMED:
            replaced.append(f"run {found.uid}: {chosen.notes[-1]}")
        return chosen

    return store.add_or_replace((found.trial for found in batch), better, refused)


class _BrokeOff(Exception):
    """The source could not be read any further; all complete batches before that are stored."""

    def __init__(self, reason: ImportDataError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _batches(trials: Iterator[_Located]) -> Iterator[list[_Located]]:
    """Yield lists of trials; trials before an error are yielded before it is raised."""
    batch: list[_Located] = []
    try:
        for trial in trials:
            batch.append(trial)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except ImportDataError as error:
        if batch:
            yield batch
        raise _BrokeOff(error) from error
    if batch:
        yield batch


def _show(report: ImportReport, args: argparse.Namespace) -> None:
    from permille.cli.terminal import console, print_json
    from permille.escaping import plain

    if args.json:
        print_json(report)
        return
    trials = report.trials
    out = console()
    out.print(
        f"{counted(report.files, 'file')}, {counted(report.rows, 'row')}:"
        f" {counted(trials.new, 'new trial')}, {trials.duplicate} already known"
        f" -> {plain(str(args.store))}",
        markup=False,
    )
    replaced_count = report.replaced_count
    if replaced_count:
        out.print(f"replaced by more complete records: {replaced_count}")
    for line in report.replaced:
        out.print(f"  {plain(line)}", markup=False)
    if replaced_count > len(report.replaced):
        out.print(f"  … and {replaced_count - len(report.replaced)} more")
    # A second import with other options changes nothing, and would look as if it had.
    if trials.duplicate and not (trials.new or replaced_count):
        out.print(
            "known trials were not changed; to import them otherwise (--inferences,"
            " --query-task), name another --store",
            soft_wrap=True,
        )
    if report.bad_count:
        out.print(f"skipped: {report.bad_count}")
    for bad in report.bad:
        where = bad.file if bad.row is None else f"{bad.file}, line {bad.row}"
        out.print(f"  {plain(where)}: {plain(bad.reason)}", markup=False)
    unnamed = report.bad_count - len(report.bad)
    if unnamed:
        out.print(f"  … and {unnamed} more")
