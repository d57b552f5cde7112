"""A figure with everything that it must be shown with, for formats that show single figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

from permille.analysis.estimates import Interval, estimate_of
from permille.analysis.evidence_words import over_sessions
from permille.analysis.results import ResultRow, Results
from permille.errors import UsageError
from permille.escaping import plain
from permille.metrics import interval_text
from permille.records.trial import Trial
from permille.units import counted, format_energy_kwh, format_mass_g, format_share

# Twice the longest id on the Hub, which has 96 characters.
_MOST_CHARACTERS = 200
# Whatever else a store says is a wrong clock or no date. OTLP has times as unsigned 64-bit
# nanoseconds since 1970 (opentelemetry/proto/metrics/v1/metrics.proto), which end in 2554.
_FIRST_YEAR, _LAST_YEAR = 1970, 2500


def only_row(results: Results) -> ResultRow:
    """The only row, with a figure, an interval and a provenance.

    Raises:
        UsageError: there are several rows, or the figure or a part of it is missing.
    """
    if len(results.rows) != 1:
        raise UsageError(
            f"the selection has {len(results.rows)} figures, and this format shows one: choose it"
            " with --study, --model and --dataset"
        )
    (row,) = results.rows
    if row.kwh_per_1000.value is None:
        raise UsageError(f"{named(row)} has no figure: {shown(row.problem or 'no finished trial')}")
    missing = []
    if row.kwh_per_1000.low is None or row.kwh_per_1000.high is None:
        missing.append("no interval (run more trials: repeats = 3)")
    if row.provenance is None:
        missing.append("no provenance")
    if missing:
        raise without(row, missing)
    return row


def whole_rows(results: Results) -> tuple[list[ResultRow], tuple[str, ...]]:
    """The rows with a figure, an interval and a provenance, and a note on those without."""
    whole = [row for row in results.rows if _is_whole(row)]
    left_out = len(results.rows) - len(whole)
    if not left_out:
        return whole, ()
    is_are = counted(left_out, "row is", "rows are")
    return whole, (f"{is_are} left out: no figure with an interval (run more trials: repeats = 3)",)


def check_of_one_model(results: Results, what: str) -> None:
    """Check that the rows are of one model, with its own weights.

    Raises:
        UsageError: they are not; ``what`` names the format (``a model-index``).
    """
    if len(models := {row.model for row in results.rows}) > 1:
        raise UsageError(
            f"the selection has {len(models)} models, and {what} is of one: add --model"
        )
    # These files are published with the model's own weights, so their figures must be of those.
    if any(row.weights is not None for row in results.rows):
        raise UsageError(
            f"{named(results.rows[0])} was measured with other weights than its own (replica):"
            f" its figures do not belong in {what}"
        )


def _is_whole(row: ResultRow) -> bool:
    kwh = row.kwh_per_1000
    return None not in (kwh.value, kwh.low, kwh.high, row.provenance)


def without(row: ResultRow, missing: Sequence[str]) -> UsageError:
    """The error that the row's figure lacks the parts listed in ``missing``."""
    return UsageError(f"the figure of {named(row)} has {', '.join(missing)}")


def named(row: ResultRow) -> str:
    """The model's id, on one line and of limited length."""
    return shown(row.model)


def shown(text: str) -> str:
    """Untrusted text on one line, without control characters. The format still escapes it."""
    return plain(text, limit=_MOST_CHARACTERS)


def energy_text(row: ResultRow) -> str:
    """``36 mWh``: the energy of 1,000 inferences."""
    value = row.kwh_per_1000.value
    return "n/a" if value is None else format_energy_kwh(value)


def interval_of(row: ResultRow) -> str:
    """``[30 mWh, 42 mWh]``: the 95 % interval of the energy."""
    low, high = row.kwh_per_1000.low, row.kwh_per_1000.high
    if low is None or high is None:
        return "n/a"
    return f"[{format_energy_kwh(low)}, {format_energy_kwh(high)}]"


def boundary_text(results: Results, row: ResultRow) -> str:
    """``compute``, with what else changes which joules count."""
    words: list[str] = [row.boundary]
    if row.boundary == "facility":
        words.append(f"PUE {results.carbon.pue:g}")
    if results.net:
        words.append("above idle")
    return ", ".join(words)


def provenance_text(row: ResultRow) -> str:
    """``measured``; or ``estimated, replica weights``."""
    weights = [] if row.weights is None else [f"{shown(row.weights)} weights"]
    return ", ".join([row.provenance or "n/a", *weights])


def facts(
    results: Results, row: ResultRow, days: tuple[date, date], link: str
) -> list[tuple[str, str]]:
    """Names and texts of everything that a label shows, below the energy."""
    first, last = days
    return [
        ("95 % interval", over_text(row)),
        ("Carbon", mass_text(row.co2e_g_per_1000)),
        ("Grid", grid_text(results)),
        ("Boundary", boundary_text(results, row)),
        ("Provenance", provenance_text(row)),
        ("Quality", quality_text(row)),
        ("Trials", trials_text(row)),
        ("Device", shown(row.device or "not recorded")),
        ("Measured with", shown(row.source)),
        ("Date", f"{first}" if first == last else f"{first} to {last}"),
        *(("Note", shown(note)) for note in row.notes),
        ("Details", link),
    ]


def grid_text(results: Results) -> str:
    """The grid's intensity with its place, year and source, and the PUE."""
    carbon = results.carbon
    year = "" if carbon.year is None else f" {carbon.year}"
    place = f"{carbon.name}{year}, {carbon.source}"
    return shown(f"{carbon.intensity_g_per_kwh:g} gCO2e/kWh ({place}); PUE {carbon.pue:g}")


def quality_text(row: ResultRow) -> str:
    """``accuracy 78.7 [71.4, 84.5] %, on 150 samples``."""
    quality = row.quality
    if quality is None:
        return "n/a"
    value = interval_text(quality.metric, quality.value, quality.low, quality.high)
    samples = "" if quality.n is None else f", on {counted(quality.n, 'sample', 'samples')}"
    return f"{shown(quality.metric)} {value}{samples}"


def finished_of(row: ResultRow, trials: Iterable[Trial]) -> Iterator[Trial]:
    """The row's finished trials."""
    return (trial for trial in trials if trial.status == "done" and _is_of(trial, row))


def began(trials: Iterable[Trial]) -> list[datetime] | None:
    """When each of the trials began (UTC); None if one has no valid time."""
    times = []
    for trial in trials:
        try:
            moment = datetime.fromisoformat(trial.started)
            # CodeCarbon logs local times without their zone. As UTC they are right to within a day.
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        # OverflowError: in UTC, the first and the last hours of the calendar may be outside of it.
        except (ValueError, OverflowError):
            return None
        if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            return None
        times.append(moment)
    return times


def measured_on(row: ResultRow, trials: Iterable[Trial]) -> tuple[date, date] | None:
    """The first and the last day (UTC) of the row's finished trials; None if one has no valid
    date."""
    times = began(finished_of(row, trials))
    return (min(times).date(), max(times).date()) if times else None


def checked_link(link: str) -> str:
    """An address that a browser opens.

    Raises:
        UsageError: it is not one, or has characters that do not belong in an address.
    """
    try:
        parts = urlsplit(link)
        # A javascript: address would run in the page that shows the link.
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        valid = False
    if not valid or len(link) > _MOST_CHARACTERS or plain(link) != link or " " in link:
        raise UsageError(
            f"--link {shown(link)!r} is not an address of the form https://… of at most"
            f" {_MOST_CHARACTERS} characters"
        )
    return link


def _is_of(trial: Trial, row: ResultRow) -> bool:
    # By its names: a row, as the JSON has it, does not say which cell it is of.
    cell = trial.cell
    of_trial = (trial.study, cell.task, cell.dataset, cell.model, cell.backend, trial.source)
    of_row = (row.study, row.task, row.dataset, row.model, row.backend, row.source)
    settings = (cell.settings.get("batch_size"), cell.settings.get("weights"))
    # A row that pools machines (--pool) has the fingerprints of all of them, joined.
    on_machine = trial.environment.fingerprint in row.fingerprint.split("+")
    return on_machine and of_trial == of_row and settings == (row.batch_size, row.weights)


def over_text(row: ResultRow) -> str:
    """The 95 % interval, and what it is over."""
    estimate = estimate_of(row.kwh_per_1000)
    over = None if estimate is None else over_sessions(estimate, format_energy_kwh)
    return interval_of(row) if over is None else f"{interval_of(row)}, {over}"


def mass_text(grams: Interval) -> str:
    """``6.8 g CO2e [3 g, 11 g] per 1,000``: a mass with its interval."""
    if grams.value is None or grams.low is None or grams.high is None:
        return "n/a"
    ends = f"[{format_mass_g(grams.low)}, {format_mass_g(grams.high)}]"
    return f"{format_mass_g(grams.value)} CO2e {ends} per 1,000"


def trials_text(row: ResultRow) -> str:
    """``3 finished, 1 failed``: how the trials ended."""
    counts = row.trials
    words = [f"{counts.done} finished"]
    words += [f"{counts.failed} failed"] if counts.failed else []
    words += [f"{counts.invalid} invalid"] if counts.invalid else []
    words += [f"{format_share(row.disturbed)} disturbed by others"] if row.disturbed else []
    return ", ".join(words)
