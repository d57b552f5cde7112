"""How often the stopping rule's interval holds the truth, and what it saves: a simulation.

    python benchmarks/stopping.py [--cells 10000] [--json benchmarks/results/stopping.json]

Synthetic cells take their spread from the study's 312 cells (benchmarks/data/study_spreads.csv)
and their repeats from several distributions of mean 1; the truth is therefore 1, and with a cold
first repeat it is still 1, the mean of a machine already running. ``savings`` are against ten
fixed repeats: of runs (every cell alike) and of energy (a cell weighs what it costs).
``outcome_of_rule`` is permille's rule written over arrays; tests/analysis/test_stopping.py holds
it to ``permille.analysis.stopping.decide``.
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

from permille.analysis.stopping import CAUTION, COLD_CONFIDENCE, COLD_FROM, FEWEST

Array = NDArray[np.float64]
SPREADS = Path(__file__).parent / "data" / "study_spreads.csv"
RESULTS = Path(__file__).parent / "results" / "stopping.json"
FIXED = 10  # the study's repeats
PRECISIONS = (0.05, 0.02)
MAX_REPEATS = (10, 30)
WORST_OVER = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0)


class Scenario(NamedTuple):
    """What the repeats are drawn from. ``cold``: bounds of the first repeat's relative shift."""

    name: str
    draw: Callable[[np.random.Generator, Array, int], Array]
    cold: tuple[float, float] | None = None


class Outcome(NamedTuple):
    """Per cell: repeats made, whether the interval holds the truth, its relative half-width."""

    n: NDArray[np.int64]
    covered: NDArray[np.bool_]
    half: Array
    within: NDArray[np.bool_]


def normal(rng: np.random.Generator, sd: Array, n: int) -> Array:
    return np.asarray(1 + sd[:, None] * rng.standard_normal((len(sd), n)))


def student(df: int) -> Callable[[np.random.Generator, Array, int], Array]:
    """Student's t scaled to the sd asked for; df > 2."""

    def draw(rng: np.random.Generator, sd: Array, n: int) -> Array:
        scale = np.sqrt((df - 2) / df)
        return np.asarray(1 + sd[:, None] * scale * rng.standard_t(df, (len(sd), n)))

    return draw


def lognormal(rng: np.random.Generator, sd: Array, n: int) -> Array:
    """Log-normal of mean 1 and the sd asked for; nearly normal where that is small."""
    width = np.sqrt(np.log1p(sd**2))[:, None]
    return np.asarray(np.exp(width * rng.standard_normal((len(sd), n)) - width**2 / 2))


def skewed(width: float) -> Callable[[np.random.Generator, Array, int], Array]:
    """The shape of a log-normal of this width, moved and scaled to mean 1 and the sd asked for."""

    def draw(rng: np.random.Generator, sd: Array, n: int) -> Array:
        z = np.exp(width * rng.standard_normal((len(sd), n)))
        square = np.exp(width**2)
        return np.asarray(1 + sd[:, None] * (z - np.sqrt(square)) / np.sqrt((square - 1) * square))

    return draw


COLD = (0.05, 0.30)
SCENARIOS = (
    Scenario("normal", normal),
    Scenario("Student t, 4 df", student(4)),
    Scenario("Student t, 3 df", student(3)),
    Scenario("log-normal", lognormal),
    Scenario("skewed (log-normal shape, width 0.5)", skewed(0.5)),
    Scenario("skewed (log-normal shape, width 1)", skewed(1.0)),
    Scenario("normal, first +5 to +30 %", normal, COLD),
    Scenario("normal, first +5 %", normal, (0.05, 0.05)),
    Scenario("normal, first +10 %", normal, (0.10, 0.10)),
    Scenario("normal, first +30 %", normal, (0.30, 0.30)),
    Scenario("normal, first -20 to -2 %", normal, (-0.20, -0.02)),
    Scenario("Student t, 4 df, first +5 to +30 %", student(4), COLD),
    Scenario("Student t, 3 df, first +5 to +30 %", student(3), COLD),
    Scenario("log-normal, first +5 to +30 %", lognormal, COLD),
    Scenario("skewed (width 1), first +5 to +30 %", skewed(1.0), COLD),
)


def read_spreads() -> tuple[Array, Array]:
    """Energies (kWh per 1,000) and relative sds of the study's cells, each of shape (312,)."""
    table = np.loadtxt(SPREADS, delimiter=",", skiprows=5)
    return table[:, 0], table[:, 1]


def simulate(scenario: Scenario, sd: Array, repeats: int, rng: np.random.Generator) -> Array:
    """Repeats of cells, shape (cells, repeats), of true steady mean 1."""
    x = scenario.draw(rng, sd, repeats)
    if scenario.cold:
        x[:, 0] *= 1 + rng.uniform(*scenario.cold, len(sd))
    return x


def running(x: Array) -> tuple[Array, Array]:
    """Mean and sample sd of each row's first 1, 2, … values. The sd of one value is infinite."""
    n = np.arange(1, x.shape[1] + 1)
    y = x - 1  # the truth, so that little is lost to cancellation
    mean = y.cumsum(axis=1) / n
    squares = (y * y).cumsum(axis=1) - n * mean**2
    sd = np.sqrt(np.maximum(squares, 0) / np.maximum(n - 1, 1))
    sd[:, 0] = np.inf
    return 1 + mean, sd


def quantiles(n: int, confidence: float = 0.95) -> Array:
    """Student's two-sided quantiles for 1 … n values; infinite for one."""
    df = np.arange(n)
    out = np.full(n, np.inf)
    out[1:] = stdtrit(df[1:], (1 + confidence) / 2)
    return out


def outcome(mean: Array, half: Array, precision: float, floor: bool, first: int) -> Outcome:
    """Stop each row at the first column from ``first`` whose half-width is small enough."""
    ok = half <= precision * np.abs(mean)
    ok[:, : first - 1] = False
    within = np.asarray(ok.any(axis=1))
    at = np.where(within, ok.argmax(axis=1), mean.shape[1] - 1)
    rows = np.arange(len(mean))
    m, h = mean[rows, at], half[rows, at]
    if floor:
        h = np.maximum(h, precision * np.abs(m))
    return Outcome(at + 1, np.abs(m - 1) <= h, h / np.abs(m), within)


def used_by_rule(x: Array) -> tuple[Array, Array, Array]:
    """Mean, sd and number of the values that the rule uses after 1, 2, … repeats."""
    repeats = x.shape[1]
    used = np.tile(np.arange(1.0, repeats + 1), (len(x), 1))
    mean, sd = running(x)
    mean_rest, sd_rest = running(x[:, 1:])
    reach = quantiles(repeats - 1, COLD_CONFIDENCE) * sd_rest * np.sqrt(1 + 1 / used[:, :-1])
    cold = np.abs(x[:, :1] - mean_rest) > reach
    cold[:, : COLD_FROM - 2] = False
    mean[:, 1:] = np.where(cold, mean_rest, mean[:, 1:])
    sd[:, 1:] = np.where(cold, sd_rest, sd[:, 1:])
    used[:, 1:] -= cold
    return mean, sd, used


def outcome_of_rule(x: Array, precision: float) -> Outcome:
    """permille's rule; at most as many repeats as x has columns."""
    mean, sd, used = used_by_rule(x)
    t = quantiles(x.shape[1])[used.astype(int) - 1]
    return outcome(mean, CAUTION * t * sd / np.sqrt(used), precision, floor=True, first=FEWEST)


def outcome_of_naive(x: Array, precision: float) -> Outcome:
    """Stop as soon as Student's interval is tight enough, from two repeats on; report it."""
    mean, sd = running(x)
    repeats = x.shape[1]
    half = quantiles(repeats) * sd / np.sqrt(np.arange(1, repeats + 1))
    return outcome(mean, half, precision, floor=False, first=2)


def outcome_of_stein(x: Array, precision: float) -> Outcome:
    """Stein's two-stage rule, pilot of 3; at the most repeats, Student's interval of them all."""
    mean, sd = running(x)
    repeats = x.shape[1]
    root = np.sqrt(np.arange(1, repeats + 1))
    t = quantiles(repeats)
    found = outcome(mean, t[2] * sd[:, 2:3] / root, precision, floor=False, first=3)
    half = np.where(found.within, found.half, t[-1] * sd[:, -1] / root[-1] / np.abs(mean[:, -1]))
    rows = np.arange(len(x))
    m = mean[rows, found.n - 1]
    return found._replace(half=half, covered=np.abs(m - 1) <= half * np.abs(m))


RULES: dict[str, Callable[[Array, float], Outcome]] = {
    "permille": outcome_of_rule,
    "naive": outcome_of_naive,
    "stein": outcome_of_stein,
}


def study_rows(cells: int, seed: int) -> Iterator[dict[str, Any]]:
    """One row a rule, scenario, precision and most repeats, at the study's spreads."""
    energy, spread = read_spreads()
    for most in MAX_REPEATS:
        for scenario in SCENARIOS:
            # Each from the seed: another scenario changes none of the others' rows.
            rng = np.random.default_rng(seed)
            pick = rng.integers(0, len(spread), cells)
            x = simulate(scenario, spread[pick], most, rng)
            for precision in PRECISIONS:
                for rule, outcome_of in RULES.items():
                    found = outcome_of(x, precision)
                    yield {
                        "rule": rule,
                        "draws": scenario.name,
                        "precision": precision,
                        "max_repeats": most,
                        "coverage": float(found.covered.mean()),
                        "saved_runs": float(1 - found.n.mean() / FIXED),
                        "saved_energy": float(
                            1 - (found.n * energy[pick]).sum() / (FIXED * energy[pick].sum())
                        ),
                        "within": float(found.within.mean()),
                        "median_half": float(np.median(found.half)),
                    }


def worst_rows(cells: int, seed: int, precision: float = 0.05) -> Iterator[dict[str, Any]]:
    """The least coverage over true spreads from 0.1 to 6 times the precision."""
    names = ("normal", *_COLD_NAMES, "Student t, 3 df", *_SKEWED)
    for most in MAX_REPEATS:
        for scenario in (s for s in SCENARIOS if s.name in names):
            least: dict[str, tuple[float, float]] = {}
            for factor in WORST_OVER:
                rng = np.random.default_rng(seed)
                x = simulate(scenario, np.full(cells, factor * precision), most, rng)
                for rule, outcome_of in RULES.items():
                    coverage = float(outcome_of(x, precision).covered.mean())
                    least[rule] = min(least.get(rule, (2.0, 0.0)), (coverage, factor))
            for rule, (coverage, factor) in least.items():
                yield {
                    "rule": rule,
                    "draws": scenario.name,
                    "max_repeats": most,
                    "coverage": coverage,
                    "at_spread_over_precision": factor,
                }


_COLD_NAMES = ("normal, first +5 to +30 %", "normal, first +5 %")
_SKEWED = tuple(s.name for s in SCENARIOS if s.name.startswith("skewed") and not s.cold)


def markdown(results: dict[str, Any], most: int) -> str:
    """The tables of docs/statistics.md, the first for at most ``most`` repeats."""
    lines = [
        "| draws | ±p | coverage | runs saved | energy saved | within ±p "
        "| Stein: coverage, runs, energy | naive: coverage, runs, energy |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    rows = [row for row in results["study"] if row["max_repeats"] == most]
    index = {(row["rule"], row["draws"], row["precision"]): row for row in rows}
    for (rule, draws, precision), row in index.items():
        if rule != "permille":
            continue
        others = (index[other, draws, precision] for other in ("stein", "naive"))
        cells = [
            draws,
            f"{precision:.0%}",
            f"**{row['coverage']:.1%}**",
            *(f"{row[name]:.1%}" for name in ("saved_runs", "saved_energy", "within")),
            *(", ".join(f"{other[name]:.1%}" for name in _COMPARED) for other in others),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_worst_lines(results["worst"])])


def _worst_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| draws | at most | permille: least coverage, at spread | Stein | naive |"
    yield "| --- | --- | --- | --- | --- |"
    worst = {(row["draws"], row["max_repeats"], row["rule"]): row for row in rows}
    for draws, most, rule in worst:
        if rule == "permille":
            found = [worst[draws, most, name] for name in ("permille", "stein", "naive")]
            told = [f"{r['coverage']:.1%} at {r['at_spread_over_precision']:g} p" for r in found]
            yield f"| {draws} | {most} | {' | '.join(told)} |"


_COMPARED = ("coverage", "saved_runs", "saved_energy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=2023)
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    results = {
        "schema": 1,
        "cells": options.cells,
        "seed": options.seed,
        "caution": CAUTION,
        "cold_confidence": COLD_CONFIDENCE,
        "study": list(study_rows(options.cells, options.seed)),
        "worst": list(worst_rows(options.cells, options.seed)),
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for most in MAX_REPEATS:
        print(f"\nAt most {most} repeats\n\n{markdown(results, most)}")


if __name__ == "__main__":
    main()
