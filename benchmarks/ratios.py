"""How often the interval of a ratio of two means holds the truth, at few repeats: a simulation.

    python benchmarks/ratios.py

Welch on the logarithms of the means (permille's) beside Fieller with Welch's degrees of freedom;
then the same interval between two cells whose repeats the stopping rule has ended.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import stopping
from numpy.typing import NDArray
from scipy.special import stdtrit

from permille.analysis.stopping import RATIO_CAUTION

Draw = Callable[[np.random.Generator, stopping.Array, int], stopping.Array]
SHAPES: dict[str, Draw] = {
    "normal": stopping.normal,
    "Student t, 4 df": stopping.student(4),
    "log-normal": stopping.lognormal,
}
REPEATS = ((2, 2), (3, 3), (3, 10), (5, 5), (10, 10))
SPREADS = ((0.03, 0.03), (0.10, 0.02), (0.02, 0.10), (0.30, 0.30), (0.05, 0.30))


class Sides:
    """Mean, squared standard error and number of repeats of both sides of many ratios of 1."""

    def __init__(
        self,
        a: tuple[stopping.Array, stopping.Array, stopping.Array],
        b: tuple[stopping.Array, stopping.Array, stopping.Array],
    ) -> None:
        (self.ma, va, na), (self.mb, vb, nb) = a, b
        self.va, self.vb = va, vb
        ua, ub = va / self.ma**2, vb / self.mb**2
        self.u = ua + ub
        df = self.u**2 / (ua**2 / (na - 1) + ub**2 / (nb - 1))
        self.t = np.asarray(stdtrit(df, 0.975))

    def log_welch(self) -> NDArray[np.bool_]:
        distance = np.abs(np.log(np.abs(self.ma / self.mb)))
        return np.asarray((distance <= self.t * np.sqrt(self.u)) & (self.ma * self.mb > 0))

    def fieller(self) -> NDArray[np.bool_]:
        return np.asarray(np.abs(self.ma - self.mb) <= self.t * np.sqrt(self.va + self.vb))

    def unbounded(self) -> float:
        return float((self.mb**2 <= self.t**2 * self.vb).mean())


def side(x: stopping.Array) -> tuple[stopping.Array, stopping.Array, stopping.Array]:
    n = x.shape[1]
    return x.mean(axis=1), x.var(axis=1, ddof=1) / n, np.full(len(x), float(n))


def fixed_repeats(cells: int = 40_000) -> None:
    print("| draws | repeats | Welch on logarithms | Fieller | Fieller unbounded in |")
    print("| --- | --- | --- | --- | --- |")
    for name, draw in SHAPES.items():
        for na, nb in REPEATS:
            rng = np.random.default_rng(1)
            found = [
                Sides(
                    side(draw(rng, np.full(cells, sa), na)), side(draw(rng, np.full(cells, sb), nb))
                )
                for sa, sb in SPREADS
            ]
            welch, fieller = (
                [m(f).mean() for f in found] for m in (Sides.log_welch, Sides.fieller)
            )
            unbounded = max(f.unbounded() for f in found)
            print(
                f"| {name} | {na} and {nb} | {min(welch):.1%} to {max(welch):.1%} "
                f"| {min(fieller):.1%} to {max(fieller):.1%} | up to {unbounded:.1%} |"
            )


def stopped_side(
    x: stopping.Array, precision: float, caution: float
) -> tuple[stopping.Array, stopping.Array, stopping.Array]:
    """As permille.analysis.stopping.stopped_summary; a caution of 1 for plain Welch."""
    mean, sd, used = stopping.used_by_rule(x)
    rows, at = np.arange(len(x)), stopping.outcome_of_rule(x, precision).n - 1
    n = used[rows, at]
    return mean[rows, at], (caution * sd[rows, at]) ** 2 / n, n


def after_stopping(cells: int = 40_000) -> None:
    print("\n| draws | ±p | stopped_summary | plain Welch |")
    print("| --- | --- | --- | --- |")
    _, spread = stopping.read_spreads()
    for scenario in stopping.SCENARIOS[:7]:
        for precision in stopping.PRECISIONS:
            rng = np.random.default_rng(2)
            pairs = [
                stopping.simulate(scenario, rng.choice(spread, cells), 10, rng) for _ in range(2)
            ]
            told = []
            for caution in (RATIO_CAUTION, 1.0):
                a, b = (stopped_side(x, precision, caution) for x in pairs)
                told.append(f"{Sides(a, b).log_welch().mean():.1%}")
            print(f"| {scenario.name} | {precision:.0%} | {' | '.join(told)} |")


if __name__ == "__main__":
    fixed_repeats()
    after_stopping()
