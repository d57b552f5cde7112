"""``permille export FORMAT FILE``: the results for a spreadsheet, a program, a model card, or as
another tool's file."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from permille.analysis.current import current_trials
from permille.carbon.settings import CarbonSettings
from permille.cli.arguments import add_reading, add_store, carbon_of
from permille.cli.commands.explore import explored_store
from permille.cli.commands.results import results_json
from permille.cli.source import check_study, say_damage, summaries_of
from permille.errors import UsageError
from permille.escaping import plain
from permille.exporters import codecarbon as codecarbon_csv
from permille.exporters.csv_text import as_csv
from permille.exporters.model_card import model_card
from permille.exporters.parquet import as_parquet
from permille.extras import extra
from permille.output import write_whole
from permille.records import Trial
from permille.store import Store
from permille.units import counted

EXAMPLES = """examples:
  permille export csv results.csv --region FRA
  permille export json - --study quickstart
  permille export model-card - --model MiniLM
  permille export html figures.html            the explorer as one file, for any browser
  permille export codecarbon emissions.csv     a line a trial, for tools that read CodeCarbon's
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille export``."""
    parser.epilog = EXAMPLES
    parser.add_argument("format", choices=["html", *_WRITERS, "codecarbon"], help="the format")
    parser.add_argument("file", metavar="FILE", help="where to; - is standard output")
    parser.add_argument("--model", help="only models whose id has this in it")
    add_store(parser)
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Write the export, whole or not at all."""
    if args.format == "html":
        return _html(args)
    carbon = carbon_of(args)
    if args.format == "codecarbon":
        return _codecarbon(args, carbon)
    summaries, boundary, damage, _ = summaries_of(args, program=True)
    if args.model:
        summaries = [s for s in summaries if args.model in s.cell.model]
    code = say_damage(damage)
    if not summaries:
        raise UsageError("there are no such results to export; see: permille results")
    payload = results_json(summaries, boundary, carbon, net=args.net, damage=damage)
    _put(args, _WRITERS[args.format](payload, carbon), len(payload["rows"]))
    return code


def _codecarbon(args: argparse.Namespace, carbon: CarbonSettings) -> int:
    """A line a trial. What has no figure within the boundary is left out, and said."""
    if args.net or args.pool:
        raise UsageError(
            "a file of CodeCarbon's holds gross energy, run by run: no --net, no --pool"
        )
    damage: list[str] = []
    with Store(args.store, readonly=True, damage=damage) as store:
        check_study(store, args)
        trials = _trials(store, args)
        found = list(codecarbon_csv.lines(trials, args.boundary or "compute", carbon))
    rows = [line for line in found if not isinstance(line, str)]
    for reason, count in Counter(line for line in found if isinstance(line, str)).items():
        left_out = counted(count, "trial is", "trials are")
        print(plain(f"{left_out} left out: {reason}"), file=sys.stderr)
    code = say_damage(damage)
    if not rows:
        raise UsageError("there are no such trials to export; see: permille results")
    _put(args, as_csv(rows).encode(), len(rows))
    return code


def _trials(store: Store, args: argparse.Namespace) -> Iterator[Trial]:
    counting = current_trials(store.trials(study=args.study))
    return (t for t in counting if (args.model or "") in t.cell.model)


def _html(args: argparse.Namespace) -> int:
    """The explorer as one file. What a question is asked with is chosen in the page."""
    chosen = (args.model, args.study, args.boundary, args.region, args.intensity, args.year)
    if any(chosen) or args.pue is not None or args.net:
        raise UsageError("html holds every study, boundary and grid: choose in the page")
    if args.file == "-":
        raise UsageError("html is written to a file: permille export html figures.html")
    with extra("explorer", "export html"):
        from permille.explorer import static_file

        size, damage = static_file.write(Path(args.file), store=explored_store(args.store))
    print(plain(f"{args.file}: {size / 1000:,.0f} kB, opens without a server or a network"))
    return say_damage(damage)


def _csv(payload: dict[str, Any], carbon: CarbonSettings) -> bytes:
    """One line a row."""
    return as_csv([_flat(row, payload, carbon) for row in payload["rows"]]).encode()


def _parquet(payload: dict[str, Any], carbon: CarbonSettings) -> bytes:
    """The same, each column of one type."""
    rows = [_flat(row, payload, carbon) for row in payload["rows"]]
    with extra("parquet", "export parquet"):
        return as_parquet(rows, {name: _TYPES.get(name, float) for name in rows[0]})


def _json(payload: dict[str, Any], carbon: CarbonSettings) -> bytes:
    """As ``permille results --json``."""
    return (json.dumps(payload, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _model_card(payload: dict[str, Any], carbon: CarbonSettings) -> bytes:
    return model_card(payload, carbon).encode()


_WRITERS: dict[str, Callable[[dict[str, Any], CarbonSettings], bytes]] = {
    "csv": _csv,
    "parquet": _parquet,
    "json": _json,
    "model-card": _model_card,
}
_NAMES = ("study", "task", "dataset", "model", "category", "backend", "device")
_TYPES: dict[str, type] = {
    **dict.fromkeys((*_NAMES, "metric", "provenance", "boundary", "source", "fingerprint"), str),
    **dict.fromkeys(("params", "done", "failed", "invalid"), int),
    "net": bool,
}
"""Of the columns that are no numbers with a fraction."""


def _flat(row: dict[str, Any], payload: dict[str, Any], carbon: CarbonSettings) -> dict[str, Any]:
    quality = row["quality"] or {}
    found = {name: row[name] for name in (*_NAMES, "params")}
    for figure in ("kwh_per_1000", "co2e_g_per_1000", "net_kwh_per_1000"):
        for part in ("value", "low", "high"):
            suffix = "" if part == "value" else f"_{part}"
            found[figure + suffix] = (row[figure] or {}).get(part)
    return found | {
        "latency_p50_s": row["latency_s"]["p50"],
        "latency_p95_s": row["latency_s"]["p95"],
        "metric": quality.get("metric"),
        "quality": quality.get("value"),
        "quality_low": quality.get("low"),
        "quality_high": quality.get("high"),
        **{status: row["trials"][status] for status in ("done", "failed", "invalid")},
        "provenance": row["provenance"],
        "boundary": row["boundary"],
        "net": payload["net"],
        "g_per_kwh": carbon.intensity_g_per_kwh,
        "pue": carbon.pue,
        "source": row["source"],
        "fingerprint": row["fingerprint"],
    }


def _put(args: argparse.Namespace, content: bytes, rows: int) -> None:
    """To standard output, or into a file: whole, or what was there before stays."""
    if args.file == "-":
        sys.stdout.buffer.write(content)
        return
    write_whole(Path(args.file), content, never=args.store)
    print(plain(f"{counted(rows, 'row is', 'rows are')} in {args.file}"), file=sys.stderr)
