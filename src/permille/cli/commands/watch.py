"""``permille watch``: the energy of a server in production, beside what it serves."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import sys
from functools import partial
from pathlib import Path
from urllib.parse import SplitResult

import msgspec
from msgspec import structs

from permille.backends.endpoint.address import is_here
from permille.carbon.settings import CarbonSettings
from permille.cli.arguments import (
    add_carbon,
    address,
    carbon_of,
    check_pid,
    default_store,
    duration,
    integer,
    refuse_given,
)
from permille.cli.source import say_damage
from permille.cli.streams import Feed
from permille.cli.terminal import print_json_line, say_last
from permille.cli.watch_text import line_text, report_head, total_text
from permille.errors import UsageError
from permille.escaping import plain
from permille.interrupts import Interrupted, Interrupts
from permille.recorder.client import Recorder
from permille.records.energy import BOUNDARIES
from permille.store import Store
from permille.watch.kept import KeptWatch, WatchHead, kept_watches
from permille.watch.kinds import mapping
from permille.watch.ledger import WatchLine
from permille.watch.outlets import WatchOutlets, store_file
from permille.watch.scrape import Scraper, checked_url
from permille.watch.watcher import LEAST_EVERY_S, Watcher

EXAMPLES = """examples:
  permille watch --metrics http://127.0.0.1:8000
  permille watch --metrics http://127.0.0.1:8000 --for 10m --json-lines > watch.jsonl
  permille watch --metrics http://127.0.0.1:8000 --serve 9464
  permille watch --metrics http://127.0.0.1:8000 --store watch.db --otlp http://127.0.0.1:4318
  permille watch --report --store watch.db --region FRA
  permille watch --metrics http://127.0.0.1:9000/stats --mapping server.toml
"""

OUTPUTS = {"watch --json-lines": WatchLine}
"""What it prints with ``--json-lines``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.epilog = EXAMPLES
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--metrics",
        metavar="URL",
        help="the server's Prometheus metrics (/metrics, unless the URL has another path)",
    )
    what.add_argument("--report", action="store_true", help="print the watches in the store")
    # Not add_store(): without the option, a watch keeps nothing.
    parser.add_argument(
        "--store",
        metavar="FILE",
        type=Path,
        help="keep the watch in this store, beside its trials; with --report, read this one"
        " (default: $PERMILLE_STORE or permille.db)",
    )
    parser.add_argument(
        "--mapping", metavar="FILE", type=Path, help="the names of another server's metrics (TOML)"
    )
    parser.add_argument(
        "--every",
        metavar="TIME",
        type=duration,
        # A default that is text is read by the type, too (argparse).
        default="10s",
        help="the time between two lines (10s)",
    )
    parser.add_argument(
        "--for", dest="length", metavar="TIME", type=duration, help="how long (until Ctrl-C)"
    )
    _add_outlets(parser)
    parser.add_argument(
        "--pid",
        type=integer,
        help="the server's process: only the GPUs that it uses count (default: every GPU)",
    )
    parser.add_argument(
        "--boundary", choices=BOUNDARIES, default="compute", help="which devices count"
    )
    add_carbon(parser)
    parser.add_argument(
        "--require", choices=["measured"], help="exit 3 if no measurement is available"
    )
    parser.add_argument(
        "--shared", action="store_true", help="allow concurrent runs (noted in the results)"
    )


def _add_outlets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json-lines", action="store_true", help="print a line of JSON for each period"
    )
    parser.add_argument(
        "--serve",
        metavar="[HOST:]PORT",
        help="serve /metrics for Prometheus (on loopback, unless HOST says otherwise)",
    )
    parser.add_argument(
        "--otlp",
        metavar="URL",
        help="send OpenTelemetry metrics to this collector (/v1/metrics, unless the URL has another"
        " path)",
    )


def run(args: argparse.Namespace) -> int:
    """Watch until the time is over or a signal; both are a normal end."""
    if args.report:
        return _report(args)
    every_s = args.every.total_seconds()
    if every_s < LEAST_EVERY_S:
        raise UsageError(f"--every is at least {LEAST_EVERY_S:g}s")
    check_pid(args.pid)
    outlets = WatchOutlets(
        args.boundary,
        served_at=None if args.serve is None else address("--serve", args.serve),
        otlp=args.otlp,
        store=args.store,
        # A collector that does not answer must not delay the next reading.
        wait_s=every_s / 2,
    )
    url = checked_url(args.metrics)
    kind = None if args.mapping is None else mapping(args.mapping)
    carbon = carbon_of(args)
    scraper = Scraper(url, kind, None if args.mapping is None else str(args.mapping))
    with Recorder(shared=args.shared) as recorder, contextlib.ExitStack() as stack:
        if args.require:
            recorder.require_measured()
        watcher = Watcher(recorder, scraper, boundary=args.boundary, carbon=carbon, pid=args.pid)
        stack.enter_context(Interrupts(recorder.token))
        # The usual end of a watch, and no failure: its totals follow.
        with contextlib.suppress(Interrupted):
            outlets.open(stack)
            problem = watcher.start()
            _introduce(scraper, str(url.hostname), problem)
            # After the first scrape, which tells which server it is.
            outlets.begin(_head(url, scraper))
            _follow(watcher, outlets, every_s, args)
    # None: it ended before the second scrape, and a difference needs two.
    if watcher.last is not None and not args.json_lines:
        print(total_text(watcher.last[1].total))
    say_last(carbon.note or None)
    return 0


def _follow(
    watcher: Watcher, outlets: WatchOutlets, every_s: float, args: argparse.Namespace
) -> None:
    """Print a line for each look, until the time is over."""
    length_s = None if args.length is None else args.length.total_seconds()
    feed = Feed()
    for line in watcher.lines(every_s, length_s):
        assert watcher.last is not None
        for remark in outlets.add(watcher.last[0]):
            print(plain(f"permille: {remark}"), file=sys.stderr)
        kept = structs.replace(line, watch=outlets.watch)
        feed.put(partial(_print, kept, as_json=args.json_lines))


def _head(url: SplitResult, scraper: Scraper) -> WatchHead:
    return WatchHead(
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        # What stands before the host, or after a "?", may be a password.
        metrics=url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl(),
        server=scraper.name,
    )


_TO_WATCH = (
    "--mapping", "--every", "--for", "--serve", "--otlp", "--pid", "--require", "--shared",
)  # fmt: skip


def _report(args: argparse.Namespace) -> int:
    """Print the watches of a store."""
    refuse_given(args, _TO_WATCH, "for a watch; --report reads those that are kept")
    damage: list[str] = []
    path = Path(default_store()) if args.store is None else args.store
    carbon: CarbonSettings = carbon_of(args)
    # Counted, and not listed first: a store may hold months of windows.
    watches = 0
    with Store(store_file(path), readonly=True, damage=damage) as store:
        for kept in kept_watches(store, args.boundary, carbon, damage.append):
            watches += 1
            _print_kept(kept, as_json=args.json_lines)
    if not watches and not args.json_lines:
        print(
            plain(f"no watch is kept in {path}; try: permille watch --metrics URL --store {path}")
        )
    say_last(carbon.note or None)
    return say_damage(damage)


def _print_kept(kept: KeptWatch, *, as_json: bool) -> None:
    if as_json:
        for line in kept.lines:
            print_json_line(msgspec.json.encode(line))
        return
    print(report_head(kept))
    if kept.lines:
        print(total_text(kept.lines[-1].total))


def _introduce(scraper: Scraper, host: str, problem: str | None) -> None:
    """What is watched, on standard error."""
    if problem is not None:
        message = f"the server's counters cannot be read yet: {problem}"
    else:
        assert scraper.kind is not None
        message = f"{scraper.name}: tokens are counted {scraper.kind.counted}"
    print(plain(message), file=sys.stderr)
    # Not certain: a remote server behind a tunnel or a proxy has a local address.
    if not is_here(host):
        print(
            plain(f"{host} is not an address of this machine: the energy is this machine's"),
            file=sys.stderr,
        )


def _print(line: WatchLine, *, as_json: bool) -> None:
    if as_json:
        print_json_line(msgspec.json.encode(line))
    else:
        print(line_text(line), flush=True)
