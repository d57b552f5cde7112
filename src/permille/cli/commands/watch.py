"""``permille watch``: the energy of a server in production, beside what it serves."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from permille.analysis.boundaries import Bounded, within
from permille.analysis.rows import Interval
from permille.backends.endpoint.address import is_here
from permille.cli.arguments import add_carbon, address, carbon_of, check_pid, duration
from permille.cli.streams import Feed
from permille.cli.terminal import print_json_line, say_last
from permille.errors import UsageError
from permille.escaping import plain
from permille.interrupts import Interrupted, Interrupts
from permille.recorder.client import Recorder
from permille.records import BOUNDARIES
from permille.units import counted, format_energy_j, format_energy_kwh, format_mass_g, kwh_from_wh
from permille.units import format_number as number
from permille.watch.exporter import MetricsServer, WatchCounters
from permille.watch.kinds import mapping
from permille.watch.ledger import WatchLine, WatchTotal
from permille.watch.scrape import Scraper, checked_url
from permille.watch.watcher import Watcher

LEAST_EVERY_S = 1.0

EXAMPLES = """examples:
  permille watch --metrics http://127.0.0.1:8000
  permille watch --metrics http://127.0.0.1:8000 --for 10m --json-lines > watch.jsonl
  permille watch --metrics http://127.0.0.1:8000 --serve 9464
  permille watch --metrics http://127.0.0.1:9000/stats --mapping server.toml
"""

OUTPUTS = {"watch --json-lines": WatchLine}
"""What it prints with ``--json-lines``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--metrics",
        metavar="URL",
        required=True,
        help="the server's Prometheus metrics (/metrics, unless the URL has another path)",
    )
    parser.add_argument(
        "--mapping", metavar="FILE", type=Path, help="the names of another server's metrics (TOML)"
    )
    parser.add_argument(
        "--every", metavar="TIME", type=duration, default="10s", help="between two lines (10s)"
    )
    parser.add_argument(
        "--for", dest="length", metavar="TIME", type=duration, help="how long (until Ctrl-C)"
    )
    parser.add_argument("--json-lines", action="store_true", help="a line of JSON for each look")
    parser.add_argument(
        "--serve",
        metavar="[HOST:]PORT",
        help="serve /metrics for Prometheus (on loopback, unless HOST says otherwise)",
    )
    parser.add_argument(
        "--pid",
        type=int,
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


def run(args: argparse.Namespace) -> int:
    """Watch until the time is over or a signal; both are a normal end."""
    every_s = args.every.total_seconds()
    if every_s < LEAST_EVERY_S:
        raise UsageError(f"--every is at least {LEAST_EVERY_S:g}s")
    check_pid(args.pid)
    url = checked_url(args.metrics)
    kind = None if args.mapping is None else mapping(args.mapping)
    served_at = None if args.serve is None else address("--serve", args.serve)
    carbon = carbon_of(args)
    scraper = Scraper(url, kind, None if args.mapping is None else str(args.mapping))
    counters = WatchCounters(args.boundary)
    with Recorder(shared=args.shared) as recorder, contextlib.ExitStack() as stack:
        if args.require:
            recorder.require_measured()
        watcher = Watcher(recorder, scraper, boundary=args.boundary, carbon=carbon, pid=args.pid)
        stack.enter_context(Interrupts(recorder.token))
        with contextlib.suppress(Interrupted):
            if served_at is not None:
                stack.enter_context(MetricsServer(counters, *served_at))
            problem = watcher.start()
            _introduce(scraper, str(url.hostname), problem)
            length_s = None if args.length is None else args.length.total_seconds()
            feed = Feed()
            for line in watcher.lines(every_s, length_s):
                _count(counters, watcher)
                feed.put(partial(_print, line, as_json=args.json_lines))
    if watcher.last is not None and not args.json_lines:
        print(total_text(watcher.last[1].total))
    say_last(carbon.note or None)
    return 0


def _introduce(scraper: Scraper, host: str, problem: str | None) -> None:
    """What is watched, on standard error."""
    if problem is not None:
        message = f"the server's counters cannot be read yet: {problem}"
    else:
        assert scraper.kind is not None
        message = f"{scraper.name}: tokens are counted {scraper.kind.counted}"
    print(plain(message), file=sys.stderr)
    if not is_here(host):
        print(
            plain(f"{host} is not an address of this machine: the energy is this machine's"),
            file=sys.stderr,
        )


def _count(counters: WatchCounters, watcher: Watcher) -> None:
    assert watcher.last is not None
    step, line = watcher.last
    bounded = within(step.phase, line.boundary)
    domains = bounded.domains if isinstance(bounded, Bounded) else ()
    counters.add(step, frozenset(domains))


def _print(line: WatchLine, *, as_json: bool) -> None:
    if as_json:
        print_json_line(msgspec.json.encode(line))
    else:
        print(line_text(line), flush=True)


def line_text(line: WatchLine) -> str:
    """One line for a terminal: what is unknown is "–", never 0."""
    energy = line.energy_j
    watts = None if energy is None or energy.value is None else energy.value / line.seconds
    parts = [
        line.t[11:19],
        "– W" if watts is None else f"{number(watts)} W",
        f"{_or_dash(line.requests_per_s)} requests/s",
        f"{_or_dash(line.tokens_per_s)} tokens/s",
        f"{_joules(line.j_per_token)} per token",
        f"{_wh(line.wh_per_1000)}, {_grams(line.co2e_g_per_1000)} per 1,000 requests",
        str(line.provenance or "no figure"),
    ]
    if line.idle:
        parts.append("idle")
    for name, model in line.models.items():
        if model.tokens.output:
            parts.append(f"{name}: {number(model.tokens.output)} tokens")
    parts += line.notes
    return plain("  ".join(parts))


def total_text(total: WatchTotal) -> str:
    """The watch as a whole."""
    idle = "" if total.idle_share is None else f", {total.idle_share:.0%} of it idle"
    lines = [
        f"{number(total.seconds)} s with both energy and counts{idle.replace('%', ' %')}:"
        f" {_joules(total.energy_j)}",
        f"{_joules(total.j_per_token)} per output token; {_wh(total.wh_per_1000)},"
        f" {_grams(total.co2e_g_per_1000)} CO2e per 1,000 requests",
        f"{_or_dash(total.requests)} requests, {_or_dash(total.tokens.output)} output tokens",
    ]
    if total.left_out_s:
        seconds = counted(round(total.left_out_s), "second")
        lines.append(f"{seconds} left out, whose energy or counts are unknown")
    return "\n".join(lines)


def _or_dash(value: float | None) -> str:
    return "–" if value is None else number(value)


def _joules(estimate: Interval | None) -> str:
    return _with_interval(estimate, format_energy_j)


def _wh(estimate: Interval | None) -> str:
    return _with_interval(estimate, lambda wh: format_energy_kwh(kwh_from_wh(wh)))


def _grams(estimate: Interval | None) -> str:
    return _with_interval(estimate, format_mass_g)


def _with_interval(estimate: Interval | None, show: Callable[[float], str]) -> str:
    if estimate is None or estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return show(estimate.value)
    return f"{show(estimate.value)} [{show(estimate.low)}, {show(estimate.high)}]"
