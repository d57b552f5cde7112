"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import datetime
import math
import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from permille.cli.object_storage import local_store
from permille.cli.parser import Once
from permille.errors import UsageError
from permille.records.energy import BOUNDARIES
from permille.units import LONGEST_S

if TYPE_CHECKING:
    from permille.analysis.results import AddedImpacts
    from permille.carbon.settings import CarbonSettings


def integer(text: str) -> int:
    """A whole number, for argparse, which would name the function that cannot read it."""
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from error


_LARGEST = 1e15
"""No quantity of the field is larger, or smaller than its inverse. A product of several that are
would be infinite, or 0."""


def number(text: str) -> float:
    """A number, for argparse."""
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error
    # What is infinite or nan is for the callers, which name the quantity that it is not.
    if math.isfinite(value) and value and not 1 / _LARGEST <= abs(value) <= _LARGEST:
        limits = f"{1 / _LARGEST:g} to {_LARGEST:g}"
        raise argparse.ArgumentTypeError(f"{text!r} is too large or too small ({limits})")
    return value


def positive_float(text: str) -> float:
    """A finite number above 0, for argparse."""
    value = number(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def positive_int(text: str) -> int:
    """A whole number above 0, for argparse."""
    value = integer(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return value


def address(option: str, text: str) -> tuple[str, int]:
    """Host and port of ``PORT`` or ``HOST:PORT``; loopback without a host.

    Raises:
        UsageError: it is neither.
    """
    host, _, port = text.rpartition(":")
    # int() alone would also take "+80", "8_0" and the digits of other scripts, and raise another
    # error from 4,301 digits on (docs.python.org/3/library/stdtypes.html#int-max-str-digits).
    if not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise UsageError(f"{option} {text!r} is neither PORT nor HOST:PORT")
    # An IPv6 address stands in brackets, because it has colons itself (RFC 3986, 3.2.2).
    return host.strip("[]") or "127.0.0.1", int(port)


def check_pid(pid: int | None) -> None:
    """Check that ``--pid`` is a process, if it is given.

    Raises:
        UsageError: it is not.
    """
    if pid is None:
        return
    import psutil

    if pid <= 0 or not psutil.pid_exists(pid):
        raise UsageError(f"--pid {pid}: there is no such process")


def whole_number(text: str) -> int:
    """A whole number from 0 up, for argparse."""
    value = integer(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is negative")
    return value


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_MOST = datetime.timedelta(seconds=LONGEST_S)


def duration(text: str) -> datetime.timedelta:
    """A time such as 50ms, 90s, 30m, 12h or 1d, for argparse."""
    # Nine digits of days are the most that a timedelta holds: more would be an OverflowError.
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)\s*(ms|[smhd])", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90s, 30m, 12h or 1d")
    found = datetime.timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    if found > _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {_MOST.days} days")
    return found


def share(text: str) -> float:
    """A share such as 5% or 0.05, for argparse."""
    # By a pattern: float() also takes nan, which is neither above nor below any limit.
    match = re.fullmatch(r"(\d{1,4}(?:\.\d{1,6})?)\s*(%?)", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share, such as 5% or 0.05")
    value = float(match[1]) / (100 if match[2] else 1)
    if value >= 1 and not match[2]:
        # 5 may be meant as 5 %, and would be 500 %: a gate with that passes nearly everything.
        raise argparse.ArgumentTypeError(f"{text!r}: write {match[1]}% or a share below 1")
    return value


def seconds(text: str) -> float:
    """A number of seconds from 0 up, for argparse."""
    value = number(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    if value > LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {_MOST.days} days")
    return value


def pue(text: str) -> float:
    """A power usage effectiveness: at least 1, for argparse."""
    value = positive_float(text)
    # The energy of the whole data centre over that of its IT equipment (ISO/IEC 30134-2).
    if value < 1:
        raise argparse.ArgumentTypeError(f"PUE is at least 1, not {text}")
    return value


def intensity(text: str) -> float:
    """A grid intensity in gCO2e/kWh: 0 or more, for argparse."""
    value = number(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a grid intensity in gCO2e/kWh")
    return value


def default_store() -> str:
    """The store that is used if none is named."""
    # "or": an empty variable is as good as none, and Path("") would be the current folder.
    return os.environ.get("PERMILLE_STORE") or "permille.db"


def not_negative_float(text: str) -> float:
    """A finite number from 0 up, for argparse."""
    value = number(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return value


def add_store(parser: argparse.ArgumentParser) -> None:
    """``--store``, whose default is ``PERMILLE_STORE`` or ``permille.db``. Of a store in object
    storage, ``store_url`` is the URL and ``store`` the local file (see
    :mod:`permille.cli.object_storage`)."""
    # argparse runs no action for a default, and PERMILLE_STORE may be a URL, too.
    path, url = local_store(default_store())
    parser.add_argument(
        "--store",
        metavar="PATH",
        action=_StoreAction,
        default=path,
        help="the store: a file, or s3://, gs://, az:// or file:// (default: $PERMILLE_STORE or"
        " permille.db)",
    )
    parser.set_defaults(store_url=url)


class _StoreAction(Once):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        path, url = local_store(values)
        super().__call__(parser, namespace, path, option_string)
        namespace.store_url = url


def add_reading(
    parser: argparse.ArgumentParser, *, market: bool = False, study: bool = True
) -> None:
    """The options of commands that read figures: boundary, idle, pooling and carbon (``market``:
    see :func:`add_carbon`); and the ``study``, unless the command is about one anyway."""
    if study:
        parser.add_argument("--study", metavar="NAME", help="only this study")
    # None and not compute: the shipped study has another default (cli.source).
    parser.add_argument("--boundary", choices=BOUNDARIES, default=None, help="which devices count")
    add_carbon(parser, market=market)
    parser.add_argument("--net", action="store_true", help="only the energy above idle")
    parser.add_argument(
        "--pool", action="store_true", help="include other machines' trials (noted)"
    )


def add_carbon(parser: argparse.ArgumentParser, *, market: bool = False) -> None:
    """The grid, its year, and the PUE. ``market``: also the market-based intensity, for commands
    that show a figure by it."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--region", metavar="PLACE", help="the region whose grid is used: FRA, France, US-CA, …"
    )
    where.add_argument(
        "--intensity",
        metavar="G_PER_KWH",
        type=intensity,
        help="your own grid intensity, in gCO2e/kWh",
    )
    parser.add_argument("--year", type=integer, help="the year of the grid intensity")
    parser.add_argument(
        "--live",
        action="store_true",
        help="the current intensity of --region, from the Electricity Maps API (needs a token)",
    )
    if market:
        parser.add_argument(
            "--market-intensity",
            metavar="G_PER_KWH",
            type=intensity,
            help="gCO2e/kWh of your contracts: a figure next to the location-based one",
        )
    # carbon_of reads it from the arguments of every command.
    parser.set_defaults(market_intensity=None)
    parser.add_argument("--pue", type=pue, default=None, help="power usage effectiveness")


def carbon_of(args: argparse.Namespace) -> CarbonSettings:
    """The grid and PUE given by the arguments of :func:`add_carbon`.

    Raises:
        UsageError: ``--live`` without a region.
        CarbonError: as ``carbon.settings.resolve`` and ``carbon.live.resolve_live``.
    """
    from permille.carbon.settings import resolve

    if not args.live:
        return resolve(args.region, args.intensity, args.year, args.pue, args.market_intensity)
    if args.region is None:
        raise UsageError("--live needs a region: add --region")
    if args.year is not None:
        raise UsageError("--live uses the current intensity: remove --year")
    from permille.carbon.live import resolve_live

    return resolve_live(args.region, args.pue, args.market_intensity)


def add_impacts(parser: argparse.ArgumentParser) -> None:
    """Water, embodied carbon and the SCI score, off unless requested."""
    from permille.carbon.accelerators import ACCELERATORS
    from permille.carbon.embodied import DEFAULT_LIFESPAN_YEARS

    water = parser.add_mutually_exclusive_group()
    water.add_argument(
        "--water",
        action="store_true",
        help="also litres of water, by what the operator of the --region publishes",
    )
    water.add_argument(
        "--wue",
        type=not_negative_float,
        metavar="L_PER_KWH",
        help="also litres of water, by your data centre's water usage effectiveness",
    )
    parser.add_argument(
        "--embodied",
        metavar="DEVICE",
        # No choices: embodied_of() ignores case, and its error covers other hardware.
        help=f"also the embodied carbon of the accelerators: {', '.join(ACCELERATORS)}",
    )
    parser.add_argument(
        "--embodied-kg",
        type=positive_float,
        metavar="KG",
        help="kgCO2e embodied in the hardware; adds the SCI score (ISO/IEC 21031)",
    )
    parser.add_argument(
        "--share-in-use",
        type=positive_float,
        metavar="S",
        help="reserved share of that hardware, 0 to 1 (default: 1)",
    )
    parser.add_argument(
        "--lifespan-years",
        type=positive_float,
        metavar="Y",
        help="lifespan of the hardware, over which its embodied carbon is spread"
        f" (default: {DEFAULT_LIFESPAN_YEARS:g})",
    )


def impacts_of(args: argparse.Namespace, carbon: CarbonSettings) -> AddedImpacts:
    """What the arguments of :func:`add_impacts` request.

    Raises:
        CarbonError: as ``carbon.water.water_of`` and ``carbon.accelerators.embodied_of``.
    """
    from permille.analysis.results import AddedImpacts
    from permille.carbon.accelerators import embodied_of
    from permille.carbon.embodied import DEFAULT_LIFESPAN_YEARS, Hardware
    from permille.carbon.water import water_of

    if args.share_in_use is not None and args.embodied_kg is None:
        raise UsageError("--share-in-use is a share of the hardware of --embodied-kg, not given")
    if args.lifespan_years is not None and args.embodied_kg is None and args.embodied is None:
        raise UsageError("--lifespan-years goes with --embodied-kg or --embodied")
    # "or" is safe here: positive_float takes no 0.
    years = args.lifespan_years or DEFAULT_LIFESPAN_YEARS
    hardware = None
    if args.embodied_kg is not None:
        hardware = Hardware(
            embodied_kg=args.embodied_kg,
            lifespan_years=years,
            resource_share=1.0 if args.share_in_use is None else args.share_in_use,
        )
    # Compared with None, because 0 is a valid value: a data centre that evaporates nothing.
    wants_water = args.water or args.wue is not None
    return AddedImpacts(
        hardware=hardware,
        water=water_of(carbon, args.wue) if wants_water else None,
        embodied=None if args.embodied is None else embodied_of(args.embodied, years),
    )


def refuse_given(args: argparse.Namespace, options: Iterable[str], why: str) -> None:
    """Refuse options that would have no effect here.

    Raises:
        UsageError: one of them was given.
    """
    # By the words, because a value may be the default, or come from an environment variable. No
    # option is abbreviated (allow_abbrev).
    typed = {word.partition("=")[0] for word in args.words}
    if given := [option for option in options if option in typed]:
        raise UsageError(f"{', '.join(given)}: {why}")


def add_strictness(parser: argparse.ArgumentParser, *, quiet: str) -> None:
    """Options that restrict measuring; ``quiet`` is the help of ``--quiet-machine``."""
    parser.add_argument(
        "--require", choices=["measured"], help="exit 3 if no measurement is available"
    )
    parser.add_argument(
        "--shared", action="store_true", help="allow concurrent runs (noted in the results)"
    )
    parser.add_argument("--quiet-machine", action="store_true", help=quiet)


def add_json(parser: argparse.ArgumentParser) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help="JSON on stdout, for programs")
