"""``permille meters``: what can be measured here, how well, and how to unlock the rest."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from permille import plugins
from permille.cli.arguments import add_json
from permille.cli.terminal import console, print_json
from permille.escaping import plain
from permille.meters import Meter
from permille.meters.selection import Unavailable, open_all, try_open
from permille.records import JsonOutput, Record
from permille.records.recording import Domain, DomainKind, Provenance
from permille.units import format_energy_j, format_seconds

if TYPE_CHECKING:
    from rich.table import Table

NOTHING = 3
"""The exit code if no meter can be used."""


EXAMPLES = """examples:
  permille meters
  permille meters --json
  PERMILLE_METERS=rapl,nvml permille meters
"""


class Accuracy(Record):
    """Relative, k = 2: how far the truth may lie below and above the figure, and who says so."""

    low: float
    high: float
    source: str


class ShownDomain(Record):
    """One thing that a meter measures. ``problem``: why it cannot be read now."""

    name: str
    kind: DomainKind
    provenance: Provenance
    device: str | None
    problem: str | None
    resolution_j: float | None
    tick_s: float | None
    accuracy: Accuracy


class ShownMeter(Record):
    """A meter, and why it is not available or not used. ``forbidden``: for want of a permission;
    ``present``: the hardware is here; ``remedy``: how to make it available."""

    meter: str
    available: bool
    used: bool
    reason: str | None
    remedy: str | None = None
    forbidden: bool = False
    present: bool = True
    domains: tuple[ShownDomain, ...] = ()


class Meters(JsonOutput):
    """What ``permille meters --json`` prints; those in use first."""

    meters: tuple[ShownMeter, ...]


OUTPUTS = {"meters": Meters}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.epilog = EXAMPLES
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Try every meter; return 3 if none can be used."""
    meters = survey()
    if args.json:
        print_json(Meters(meters=tuple(meters)))
    else:
        print_tables(meters)
    # As a run would end here that requires a meter (errors.MeterError).
    return 0 if any(meter.used for meter in meters) else NOTHING


def survey() -> list[ShownMeter]:
    """Every registered meter, as it is shown; those in use first.

    Raises:
        UsageError: PERMILLE_METERS or a meter's own variable is wrong.
    """
    opened = open_all()
    try:
        shown = [_here(meter, used=True) for meter in opened.meters]
    finally:
        opened.close()
    shown += [_missing(unavailable) for unavailable in opened.unavailable]
    listed = {meter.meter for meter in shown}
    # Also meters that are not in use: the table lists everything that could be measured.
    for name in plugins.names("meters"):
        if name in listed:
            continue
        meter = try_open(name)
        if isinstance(meter, Unavailable):
            shown.append(_missing(meter))
        else:
            shown.append(_here(meter, used=False))
            meter.close()
    return sorted(shown, key=lambda meter: (not meter.used, not meter.available))


def _here(meter: Meter, *, used: bool) -> ShownMeter:
    # A meter that blocked when it was opened is not opened again.
    problems = {} if meter.slow else {r.domain: r.error for r in meter.read()}
    return ShownMeter(
        meter=meter.name,
        available=True,
        used=used,
        reason=None if used else "not used: see docs/meters.md, or name it in PERMILLE_METERS",
        domains=tuple(_domain(domain, problems.get(domain.name)) for domain in meter.domains),
    )


def _missing(unavailable: Unavailable) -> ShownMeter:
    return ShownMeter(
        meter=unavailable.name,
        available=False,
        used=False,
        reason=unavailable.reason,
        # Null rather than an empty text: there is nothing that the user could do.
        remedy=unavailable.remedy or None,
        forbidden=unavailable.forbidden,
        present=unavailable.present,
    )


def _domain(domain: Domain, problem: str | None) -> ShownDomain:
    return ShownDomain(
        name=domain.name,
        kind=domain.kind,
        provenance=domain.provenance,
        device=domain.device,
        problem=problem,
        resolution_j=domain.resolution_j,
        tick_s=domain.tick_s,
        accuracy=Accuracy(
            low=domain.accuracy_low, high=domain.accuracy_high, source=domain.accuracy_source
        ),
    )


def print_tables(meters: list[ShownMeter]) -> None:
    """What can be measured, and what is missing, for people."""
    from rich.text import Text

    out = console()
    here = [meter for meter in meters if meter.available]
    missing = [meter for meter in meters if not meter.available]
    if here:
        out.print(_domain_table(here))
    # Below the table: a source is a sentence, and would leave no room for the figures.
    for source in _accuracy_sources(here):
        out.print(Text(plain(f"  {source}"), style="dim"))
    for domain in (domain for meter in here for domain in meter.domains):
        if domain.problem:
            out.print(Text(plain(f"{domain.name} cannot be read: {domain.problem}")))
    if missing:
        out.print(Text("\nnot here" if here else "no meter can be used here", style="bold"))
    for meter in missing:
        out.print(Text(plain(f"{meter.meter}: {meter.reason}")))
        if meter.remedy:
            out.print(Text(plain(f"    to unlock: {meter.remedy}")))


def _domain_table(meters: list[ShownMeter]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for head in ("meter", "domain", "provenance", "used", "resolution", "tick", "accuracy", "of"):
        table.add_column(head, overflow="fold")
    for meter in meters:
        for domain in meter.domains:
            cells = (
                meter.meter,
                domain.name,
                domain.provenance,
                "yes" if meter.used else "no",
                "-" if domain.resolution_j is None else format_energy_j(domain.resolution_j),
                "-" if domain.tick_s is None else format_seconds(domain.tick_s),
                _accuracy(domain.accuracy),
                domain.device or "",
            )
            # The name comes from the device: as Text it is never interpreted as rich's markup.
            table.add_row(*(Text(plain(cell)) for cell in cells))
    return table


def _accuracy_sources(meters: list[ShownMeter]) -> list[str]:
    """The source of each domain's accuracy, without repeated lines."""
    return list(
        dict.fromkeys(
            f"{domain.name}: {domain.accuracy.source}"
            for meter in meters
            for domain in meter.domains
        )
    )


def _accuracy(accuracy: Accuracy) -> str:
    low, high = accuracy.low, accuracy.high
    if low == high:
        return f"±{low * 100:g} %"
    return f"-{low * 100:g}/+{high * 100:g} %"
