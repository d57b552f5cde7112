"""``permille export FORMAT FILE``: the results for a spreadsheet, a program, or a model card."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from permille.carbon.settings import CarbonSettings
from permille.cli.arguments import add_reading, add_store, carbon_of
from permille.cli.explore_ import explored_store
from permille.cli.model_card import model_card
from permille.cli.results_ import results_json
from permille.cli.source import summaries_of
from permille.cli.terminal import plain
from permille.errors import UsageError

EXAMPLES = """examples:
  permille export csv results.csv --region FRA
  permille export json - --study quickstart
  permille export model-card - --model MiniLM
  permille export html figures.html            the explorer as one file, for any browser
"""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille export``."""
    parser.epilog = EXAMPLES
    parser.add_argument("format", choices=["html", *_WRITERS])
    parser.add_argument("file", metavar="FILE", help="where to; - is standard output")
    parser.add_argument("--model", help="only models whose id has this in it")
    add_store(parser)
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Write the export, whole or not at all."""
    if args.format == "html":
        return _html(args)
    carbon = carbon_of(args)
    summaries, boundary = summaries_of(args)
    if args.model:
        summaries = [s for s in summaries if args.model in s.cell.model]
    if not summaries:
        raise UsageError("there are no such results to export; see: permille results")
    payload = results_json(summaries, boundary, carbon, net=args.net)
    text = _WRITERS[args.format](payload, carbon)
    if args.file == "-":
        sys.stdout.write(text)
    else:
        _replace(Path(args.file), text)
        print(plain(f"{len(payload['rows'])} rows are in {args.file}"), file=sys.stderr)
    return 0


def _html(args: argparse.Namespace) -> int:
    """The explorer as one file. What a question is asked with is chosen in the page."""
    chosen = (args.model, args.study, args.boundary, args.region, args.intensity, args.year)
    if any(chosen) or args.pue is not None or args.net:
        raise UsageError("html holds every study, boundary and grid: choose in the page")
    if args.file == "-":
        raise UsageError("html is written to a file: permille export html figures.html")
    from permille.explorer import static_file

    size = static_file.write(Path(args.file), store=explored_store(args.store))
    print(plain(f"{args.file}: {size / 1000:,.0f} kB, opens without a server or a network"))
    return 0


def as_csv(payload: dict[str, Any], carbon: CarbonSettings) -> str:
    """One line a row. No cell begins as a formula does: text that would is put behind an
    apostrophe (OWASP, CSV Injection), and holds no control characters."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    flat = [_flat(row, payload, carbon) for row in payload["rows"]]
    writer.writerow(flat[0])
    writer.writerows([[_cell(value) for value in row.values()] for row in flat])
    return out.getvalue()


def as_json(payload: dict[str, Any], carbon: CarbonSettings) -> str:
    """As ``permille results --json``."""
    return json.dumps(payload, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


_WRITERS: dict[str, Callable[[dict[str, Any], CarbonSettings], str]] = {
    "csv": as_csv,
    "json": as_json,
    "model-card": model_card,
}


def _flat(row: dict[str, Any], payload: dict[str, Any], carbon: CarbonSettings) -> dict[str, Any]:
    quality = row["quality"] or {}
    names = ("study", "task", "dataset", "model", "category", "backend", "device", "params")
    found = {name: row[name] for name in names}
    for figure in ("kwh_per_1000", "co2e_g_per_1000", "net_kwh_per_1000"):
        for part in ("value", "low", "high"):
            suffix = "" if part == "value" else f"_{part}"
            found[figure + suffix] = (row[figure] or {}).get(part)
    return found | {
        "latency_p50_s": row["latency_s"]["p50"],
        "latency_p95_s": row["latency_s"]["p95"],
        "metric": quality.get("metric"),
        "quality": quality.get("value"),
        **{status: row["trials"][status] for status in ("done", "failed", "invalid")},
        "provenance": row["provenance"],
        "boundary": row["boundary"],
        "net": payload["net"],
        "g_per_kwh": carbon.intensity_g_per_kwh,
        "pue": carbon.pue,
        "source": row["source"],
        "fingerprint": row["fingerprint"],
    }


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # A blank before a formula does not hold every spreadsheet off.
    text = plain(value).replace("\t", " ")
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _replace(path: Path, text: str) -> None:
    """The whole text, or what was there before."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
