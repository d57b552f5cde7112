"""How often the interval over sessions holds the truth, and the rerun interval the next session.

    python benchmarks/rerun.py [--cells 40000] [--json benchmarks/results/rerun.json]

Synthetic cells: each session has an effect of its own on the logarithm, and so has each block in
it. A ratio is the mean over sessions of the mean log difference within blocks; an energy is the
mean over sessions, whose interval is on the log scale (``permille.analysis.rerun``). The truth of
a ratio is the mean of the sessions' logarithms, and that of an energy the mean of their energies;
the next session is drawn as the others were. ``bounds`` is the method written over arrays;
tests/analysis/test_rerun.py holds it to ``permille.analysis.rerun.rerun``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from permille.analysis.rerun import CAUTION, FEWEST_SESSIONS, SELECTION_CAUTION

Array = NDArray[np.float64]
RESULTS = Path(__file__).parent / "results" / "rerun.json"
SESSIONS = range(2, 11)
SPREADS = (0.0, 0.02, 0.05, 0.10, 0.23)
BLOCK_SD = 0.03
WARMING = 0.10
PRECISION = 0.10
MOST = 30
"""Sessions under a precision."""
SHARES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""The sessions' log-sd as a share of the precision."""


class Cells(NamedTuple):
    """Cells with their sessions, and with the session that is to come as the last column. Means of
    log differences (``ratio``) and energies of sessions; and the true means of both."""

    ratio: Array
    energy: Array
    true_ratio: Array
    true_energy: Array


class Scenario(NamedTuple):
    """How effects are drawn (mean 0, sd 1), how many blocks sessions have, and what drifts."""

    name: str
    draw: Callable[[np.random.Generator, tuple[int, ...]], Array]
    blocks: tuple[int, ...] = (3,)  # the sessions take these in turn
    blocks_next: int = 3  # of the session that is to come
    warming: float = 0.0  # over a session, on both sides of a ratio
    trend: float = 0.0  # share of the sessions' variance that is a trend from first to last


class Coverage(NamedTuple):
    """Shares of cells."""

    mean: float
    rerun: float


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard normal."""
    return rng.standard_normal(shape)


def heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Student's t with 4 degrees of freedom, scaled to an sd of 1 and cut off at 6: the mean of
    the energies, whose logarithms these are, would not exist otherwise."""
    return np.asarray(np.clip(rng.standard_t(4, shape) / np.sqrt(2), -6, 6))


UNEQUAL = (1, 10, 3, 2, 5)
SCENARIOS = (
    Scenario("normal", normal),
    Scenario("heavy-tailed (Student t, 4 df)", heavy),
    Scenario("a machine that drifts by 10 % in each session", normal, warming=WARMING),
    Scenario("normal, 1 to 10 blocks a session", normal, blocks=UNEQUAL),
    Scenario("the same, the next session of 1 block", normal, blocks=UNEQUAL, blocks_next=1),
    Scenario("a tenth of the sessions' variance is a trend", normal, trend=0.1),
    Scenario("half of the sessions' variance is a trend", normal, trend=0.5),
)


def simulate(
    scenario: Scenario, sd: float, sessions: int, cells: int, rng: np.random.Generator
) -> Cells:
    """Cells of so many sessions, and of one more."""
    count = sessions + 1
    order = np.arange(count) / sessions - (sessions - 1) / (2 * sessions)
    scale = np.sqrt((order[:sessions] ** 2).mean())
    trend = np.sqrt(scenario.trend) * order / scale
    effect = sd * (np.sqrt(1 - scenario.trend) * scenario.draw(rng, (cells, count)) + trend)
    ratio, energy = np.empty((cells, count)), np.empty((cells, count))
    for at in range(count):
        blocks = scenario.blocks[at % len(scenario.blocks)]
        if at == sessions:
            blocks = scenario.blocks_next
        warming = scenario.warming * (np.arange(blocks) / max(1, blocks - 1) - 0.5)
        a = effect[:, at, None] + warming + BLOCK_SD * scenario.draw(rng, (cells, blocks))
        b = warming + BLOCK_SD * scenario.draw(rng, (cells, blocks))
        ratio[:, at] = (a - b).mean(axis=1)
        energy[:, at] = np.exp(a).mean(axis=1)
    known = sd * trend[:sessions]
    own = sd * np.sqrt(1 - scenario.trend)
    warm = np.exp(scenario.warming * (np.arange(3) / 2 - 0.5)).mean()
    true_energy = _mean_of_exp(scenario, own) * _mean_of_exp(scenario, BLOCK_SD) * warm
    true_energy *= np.exp(known).mean()
    return Cells(ratio, energy, np.full(cells, known.mean()), np.full(cells, true_energy))


def _mean_of_exp(scenario: Scenario, sd: float) -> float:
    """The mean of the energies whose logarithms are drawn with this sd."""
    if scenario.draw is normal:
        return float(np.exp(np.square(sd) / 2))
    # For a t that is cut off, no formula gives it.
    return float(np.exp(sd * scenario.draw(np.random.default_rng(1), (4_000_000,))).mean())


def bounds(x: Array) -> tuple[Array, Array, Array]:
    """Mean over sessions (columns) on a scale on which effects add up, and half the widths of its
    interval and of the rerun interval."""
    k = x.shape[1]
    spread = stdtrit(k - 1, 0.975) * x.std(axis=1, ddof=1)
    return x.mean(axis=1), spread / np.sqrt(k), CAUTION * spread * np.sqrt(1 + 1 / k)


def coverage_of_ratio(cells: Cells) -> Coverage:
    """Of the log differences."""
    value, half, rerun_half = bounds(cells.ratio[:, :-1])
    return Coverage(
        float((np.abs(value - cells.true_ratio) <= half).mean()),
        float((np.abs(value - cells.ratio[:, -1]) <= rerun_half).mean()),
    )


def coverage_of_energy(cells: Cells) -> Coverage:
    """Of the mean energy, whose interval has the width of that of the logarithms."""
    known = cells.energy[:, :-1]
    _, half, rerun_half = bounds(np.log(known))
    value = np.log(known.mean(axis=1))
    return Coverage(
        float((np.abs(value - np.log(cells.true_energy)) <= half).mean()),
        float((np.abs(value - np.log(cells.energy[:, -1])) <= rerun_half).mean()),
    )


FIGURES: dict[str, Callable[[Cells], Coverage]] = {
    "ratio": coverage_of_ratio,
    "energy": coverage_of_energy,
}


def until_precise(
    scenario: Scenario, sd: float, cells: int, rng: np.random.Generator
) -> dict[str, Coverage]:
    """Of cells whose sessions were repeated, MOST at most, until the rerun interval of the energy
    was within PRECISION, with the widening that such cells have. The next session is the one that
    would have come."""
    drawn = simulate(scenario, sd, MOST, cells, rng)
    wanted = np.log1p(PRECISION)
    going_on = np.ones(cells, dtype=bool)
    holds = {figure: np.zeros((2, cells), dtype=bool) for figure in FIGURES}
    for k in range(FEWEST_SESSIONS, MOST + 1):
        _, _, rerun_half = bounds(np.log(drawn.energy[:, :k]))
        ends = going_on & ((SELECTION_CAUTION * rerun_half <= wanted) | (k == MOST))
        wider = np.maximum(SELECTION_CAUTION, wanted / rerun_half)
        sides = {
            "ratio": (drawn.ratio, drawn.true_ratio, drawn.ratio[:, :k].mean(axis=1)),
            "energy": (
                np.log(drawn.energy),
                np.log(drawn.true_energy),
                np.log(drawn.energy[:, :k].mean(axis=1)),
            ),
        }
        for figure, (x, truth, value) in sides.items():
            _, half, next_half = bounds(x[:, :k])
            holds[figure][0][ends] = (np.abs(value - truth) <= wider * half)[ends]
            holds[figure][1][ends] = (np.abs(value - x[:, k]) <= wider * next_half)[ends]
        going_on &= ~ends
    return {figure: Coverage(*map(float, held.mean(axis=1))) for figure, held in holds.items()}


def rows_until_precise(cells: int, seed: int) -> Iterator[dict[str, Any]]:
    """One row a scenario and spread of those that are attained with a fixed number of sessions."""
    for scenario in SCENARIOS[:3]:
        for share in SHARES:
            rng = np.random.default_rng((seed, round(1000 * share)))
            found = until_precise(scenario, share * PRECISION, cells, rng)
            yield {"draws": scenario.name, "share": share} | {
                f"{figure}_{what}": getattr(coverage, what)
                for figure, coverage in found.items()
                for what in ("mean", "rerun")
            }


def markdown_until_precise(found: list[dict[str, Any]]) -> str:
    """The table of docs/statistics.md: the least coverage over the spreads."""
    lines = [
        "| draws | ratio: mean | ratio: next session | energy: mean | energy: next session |",
        "| --- | --- | --- | --- | --- |",
    ]
    for scenario in SCENARIOS[:3]:
        of = [row for row in found if row["draws"] == scenario.name]
        cells = [scenario.name]
        for figure in FIGURES:
            for what in ("mean", "rerun"):
                worst = min(of, key=lambda row: row[f"{figure}_{what}"])
                cells.append(f"{worst[f'{figure}_{what}']:.1%} ({worst['share']:g} p)")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def rows(cells: int, seed: int) -> Iterator[dict[str, Any]]:
    """One row a figure, scenario, spread and number of sessions."""
    for scenario in SCENARIOS:
        for sd in SPREADS:
            for sessions in SESSIONS:
                # Each from the seed: another scenario changes none of the others' rows.
                rng = np.random.default_rng((seed, sessions))
                found = simulate(scenario, sd, sessions, cells, rng)
                for figure, coverage_of in FIGURES.items():
                    coverage = coverage_of(found)
                    yield {
                        "figure": figure,
                        "draws": scenario.name,
                        "session_sd": sd,
                        "sessions": sessions,
                        "mean": coverage.mean,
                        "rerun": coverage.rerun,
                    }


def markdown(found: list[dict[str, Any]]) -> str:
    """The table of docs/statistics.md: the least coverage over 2 to 10 sessions."""
    lines = [
        "| draws | session log-sd | ratio: mean | ratio: next session "
        "| energy: mean | energy: next session |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for scenario in SCENARIOS:
        for sd in SPREADS:
            cells = [scenario.name, f"{sd:.0%}"]
            for figure in FIGURES:
                of = [
                    row
                    for row in found
                    if (row["figure"], row["draws"], row["session_sd"])
                    == (figure, scenario.name, sd)
                ]
                for what in ("mean", "rerun"):
                    worst = min(of, key=lambda row: row[what])
                    cells.append(f"{worst[what]:.1%} ({worst['sessions']})")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cells", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=2013)
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = list(rows(options.cells, options.seed))
    results = {
        "schema": 1,
        "cells": options.cells,
        "seed": options.seed,
        "caution": CAUTION,
        "block_sd": BLOCK_SD,
        "rows": found,
        "until_precise": list(rows_until_precise(options.cells, options.seed)),
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(markdown(found), markdown_until_precise(results["until_precise"]), sep="\n\n")


if __name__ == "__main__":
    main()
