"""``permille import FORMAT PATH``: other tools' measurements, as trials in the store."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from permille import plugins
from permille.cli.arguments import add_json, add_store, positive_int
from permille.errors import ImportDataError
from permille.importers import NAMED, Options, Tally
from permille.records import JsonOutput, Record, Refused, Trial

if TYPE_CHECKING:
    from permille.store import Added, Store

BATCH = 1000


EXAMPLES = """examples:
  permille import codecarbon emissions.csv
  permille import codecarbon logs.tar.xz --inferences 1000 --json
  permille import power-hungry-2023 raw.tar.xz --store study.db
"""


class ImportedTrials(Record):
    """How many trials are new, and how many were known already."""

    new: int
    duplicate: int


class LeftOutRow(Record):
    """What was left out, and why; ``row`` is a line of the file, null where it is all of it."""

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
        "path", metavar="PATH", type=Path, help="a file, a folder, or a tar or zip archive of it"
    )
    parser.add_argument("--study", metavar="NAME", help="keep the trials under this study")
    parser.add_argument(
        "--inferences", metavar="N", type=positive_int, help="how many one run answered"
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
    """Import; 0 unless nothing could be imported or the source broke off."""
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
            for batch in _batches(_keepable(importer.trials(source, tally, options), tally)):
                found = _keep(store, batch, tally, replaced)
                new += found.new
                duplicate += found.known
                replaced_count += found.replaced
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
    _show(report, args)
    if broken is not None:
        raise ImportDataError(f"{broken}; what was read before is kept")
    if not (new or duplicate or replaced_count):
        raise ImportDataError(f"{args.path} has nothing that {args.format} could import")
    return 0


class _Found(NamedTuple):
    """A trial, and where it was found."""

    trial: Trial
    file: str
    row: int | None


def _keepable(trials: Iterator[Trial], tally: Tally) -> Iterator[_Found]:
    """The trials that a store can keep; of the others why not."""
    from permille.store import refusal

    for trial in trials:
        reason = refusal(trial)
        if reason is None:
            yield _Found(trial, *tally.at)
        else:
            tally.leave_out(*tally.at, f"run {trial.uid}: {reason}")


def _keep(store: Store, batch: list[_Found], tally: Tally, replaced: list[str]) -> Added:
    """Keep a batch; of a run that is known already the fuller record, and a line that says so."""
    from permille.importers.again import merged

    places = iter(batch)

    def better(known: Trial, found: Trial) -> Trial | None:
        place = next(place for place in places if place.trial is found)
        chosen = merged(known, found)
        if isinstance(chosen, Refused):
            tally.leave_out(place.file, place.row, chosen.reason)
            return None
        if chosen is not None and len(replaced) < NAMED:
            replaced.append(f"run {found.uid}: {chosen.notes[-1]}")
        return chosen

    return store.add_or_replace((found.trial for found in batch), better)


class _BrokeOff(Exception):
    """The source could be read no further; every whole batch before is kept."""

    def __init__(self, reason: ImportDataError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _batches(trials: Iterator[_Found]) -> Iterator[list[_Found]]:
    """Lists of trials; what came before an error comes out before the error does."""
    batch: list[_Found] = []
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
        f"{report.files} files, {report.rows} rows: {trials.new} new trials,"
        f" {trials.duplicate} known already -> {plain(str(args.store))}",
        markup=False,
    )
    replaced_count = report.replaced_count
    if replaced_count:
        out.print(f"replaced by fuller records: {replaced_count}")
    for line in report.replaced:
        out.print(f"  {plain(line)}", markup=False)
    if replaced_count > len(report.replaced):
        out.print(f"  … and {replaced_count - len(report.replaced)} more")
    if trials.duplicate and not (trials.new or replaced_count):
        out.print(
            "what is known stays as it was imported; to import it otherwise (--inferences,"
            " --query-task), name another --store",
            soft_wrap=True,
        )
    if report.bad_count:
        out.print(f"left out: {report.bad_count}")
    for bad in report.bad:
        where = bad.file if bad.row is None else f"{bad.file}, line {bad.row}"
        out.print(f"  {plain(where)}: {plain(bad.reason)}", markup=False)
    unnamed = report.bad_count - len(report.bad)
    if unnamed:
        out.print(f"  … and {unnamed} more")
