"""A store's figures as data frames, and the ratio of two models in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from permille.analysis import comparable
from permille.analysis.commands import figure, per_inference
from permille.analysis.compare import compare as compared
from permille.analysis.comparison import Comparison
from permille.analysis.current import current_trials
from permille.analysis.results import Results, result_rows
from permille.api.reading import check_has_study, summaries_in
from permille.carbon.settings import resolve
from permille.energy.disturbance import disturbed
from permille.errors import UsageError
from permille.exporters.rows import TYPES, columns_of
from permille.notebook.frames import FRAMES, FrameLibrary, frame_of
from permille.records.energy import BOUNDARIES, Boundary, Estimate
from permille.records.trial import Trial
from permille.store import Store

T = TypeVar("T")

_TRIAL_TYPES: dict[str, type] = {
    **dict.fromkeys(
        ("trial", "study", "task", "dataset", "model", "category", "backend", "device"), str
    ),
    "weights": str,
    "batch_size": int,
    "repeat": int,
    **dict.fromkeys(("status", "reason", "started", "session"), str),
    "block": int,
    "inferences": int,
    **dict.fromkeys(
        [
            "seconds",
            *(f"{name}{end}" for name in ("energy_j", "net_energy_j", "kwh_per_1000")
              for end in ("", "_low", "_high")),
            "latency_p50_s",
            "latency_p95_s",
            "schedule_lag_p95_s",
            "schedule_lag_most_s",
        ],
        float,
    ),
    "metric": str,
    "quality": float,
    "disturbed": bool,
    **dict.fromkeys(("provenance", "boundary", "problem", "source", "fingerprint"), str),
}  # fmt: skip


def results(
    store: str | Path | None = None,
    *,
    study: str | None = None,
    boundary: Boundary = "compute",
    region: str | None = None,
    intensity: float | None = None,
    year: int | None = None,
    pue: float | None = None,
    net: bool = False,
    frame: FrameLibrary = "pandas",
) -> Any:
    """The current results as a data frame with one row per cell, as ``permille export csv``
    writes them: ``kwh_per_1000`` with ``kwh_per_1000_low`` and ``kwh_per_1000_high``, the carbon,
    the quality, the provenance and the rest.

    ``store`` is the path of a store; its default is ``PERMILLE_STORE`` or ``permille.db``. The
    carbon is that of a ``region`` (``"FRA"``) or an ``intensity`` (gCO2e/kWh). With ``net``, energy
    and carbon are above idle. ``frame`` is the library: ``"pandas"``, ``"polars"`` or
    ``"pyarrow"``. A missing value is null, never 0.

    Raises:
        UsageError: an argument is wrong, there are no results, or the library is not installed.
        StoreError: there is no such store, or it is damaged.
        CarbonError: an unknown region or year, or a number out of range.
    """
    _check(boundary, frame)
    carbon = resolve(region, intensity, year, pue)
    summaries = _read(store, study, lambda opened: [*summaries_in(opened, study, boundary)])
    rows = result_rows(comparable.current(summaries), carbon, net=net)
    columns = columns_of(Results.of(rows, boundary, carbon, net=net))
    return frame_of(columns, {name: TYPES.get(name, float) for name in columns}, frame)


def trials(
    store: str | Path | None = None,
    *,
    study: str | None = None,
    boundary: Boundary = "compute",
    pue: float = 1.0,
    frame: FrameLibrary = "pandas",
) -> Any:
    """The trials behind the current results as a data frame with one row per trial, failed and
    invalid ones included.

    ``energy_j`` is that of the query span, with the interval of the meters; ``problem`` says why
    there is none. The other arguments, and the errors, are those of :func:`results`; ``pue``
    counts in ``facility``.
    """
    _check(boundary, frame)
    checked_pue = resolve(pue=pue).pue
    current = _read(store, study, lambda opened: current_trials(opened.trials(study=study)))
    rows = [_trial_row(trial, boundary, checked_pue) for trial in current]
    columns = {name: [row[name] for row in rows] for name in _TRIAL_TYPES}
    return frame_of(columns, _TRIAL_TYPES, frame)


def compare(
    a: str,
    b: str,
    store: str | Path | None = None,
    *,
    study: str | None = None,
    boundary: Boundary = "compute",
    net: bool = False,
) -> Comparison:
    """The ratio of the energies of two models, ``a`` over ``b``, on the tasks and datasets that
    they share. A model is named by its id, or by a part of it that no other id contains.

    Raises:
        CompareError: a name matches no model or several, or nothing can be compared.
        UsageError: an argument is wrong, or there are no results.
        StoreError: there is no such store, or it is damaged.
    """
    _check(boundary)
    summaries = _read(store, study, lambda opened: [*summaries_in(opened, study, boundary)])
    return compared(summaries, a, b, net=net)


def _check(boundary: str, frame: str = "pandas") -> None:
    if boundary not in BOUNDARIES:
        raise UsageError(f"no boundary {boundary!r}; one of: {', '.join(BOUNDARIES)}")
    if frame not in FRAMES:
        raise UsageError(f"no frames of {frame!r}; one of: {', '.join(FRAMES)}")


def _read(store: str | Path | None, study: str | None, read: Callable[[Store], list[T]]) -> list[T]:
    """What ``read`` returns, which must not be empty."""
    named = str(store or os.environ.get("PERMILLE_STORE") or "permille.db")
    if "://" in named:
        raise UsageError(
            f"{named} is not a file; the command line reads object storage:"
            " permille export parquet FILE --store URL"
        )
    # Without a list for its damage, a damaged store is an error: a frame could not say what it
    # lacks.
    with Store(Path(named), readonly=True) as opened:
        items = read(opened)
        if not items:
            check_has_study(opened, study)
            raise UsageError(f"no results in {named}; to measure some: permille run STUDY")
    return items


def _trial_row(trial: Trial, boundary: Boundary, pue: float) -> dict[str, Any]:
    """A trial with the columns of ``_TRIAL_TYPES``."""
    cell, query, score = trial.cell, trial.phases.get("query"), trial.quality
    latency, lag = trial.latency, trial.schedule_lag
    row: dict[str, Any] = dict.fromkeys(_TRIAL_TYPES)
    row |= {
        "trial": trial.uid,
        "category": cell.category,
        "weights": cell.settings.get("weights"),
        "batch_size": cell.settings.get("batch_size"),
        **{name: getattr(cell, name) for name in ("task", "dataset", "model", "backend")},
        **{name: getattr(trial, name) for name in _OF_TRIAL},
        "latency_p50_s": latency and latency.p50,
        "latency_p95_s": latency and latency.p95,
        "schedule_lag_p95_s": lag and lag.p95,
        "schedule_lag_most_s": lag and lag.most,
        "metric": score and score.metric,
        "quality": score and score.value,
        "disturbed": disturbed(trial.phases),
        "boundary": boundary,
        "fingerprint": trial.environment.fingerprint,
    }
    if query is None:
        return row | {"problem": trial.reason or "it has no query span"}
    energy = figure([query], [trial.phases.get("idle")], boundary, pue)
    per_1000 = None
    if query.inferences:
        per_1000 = per_inference([query], [query.inferences], boundary, pue)
    return row | {
        "inferences": query.inferences,
        "seconds": query.seconds,
        **_ends("energy_j", energy.energy),
        **_ends("net_energy_j", energy.net),
        **_ends("kwh_per_1000", per_1000),
        "provenance": energy.provenance,
        "problem": energy.reason,
    }


_OF_TRIAL = (
    "study", "device", "repeat", "status", "reason", "started", "session", "block", "source",
)  # fmt: skip


def _ends(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    if estimate is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
