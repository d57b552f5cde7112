"""A side of a ratio from numbers alone, for simulations: thousands of draws need no trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from permille.analysis import intervals
from permille.analysis.parts import Part
from permille.analysis.trial_sums import BlockPlace, Sums
from permille.records.recording import Provenance


class SumsAlone(NamedTuple):
    """A side of which nothing is known but its sums, of a meter without errors."""

    energy: Sums
    parts: tuple[Part, ...] = ()
    provenance: Provenance | None = Provenance.MEASURED
    problem: str | None = None


def side(energies: Sequence[float], sessions: Sequence[str]) -> SumsAlone:
    """The figure of blocks in these sessions."""
    n, mean, sd = intervals.summary(energies)
    values = tuple(energies)
    places = tuple(BlockPlace(session, number) for number, session in enumerate(sessions))
    return SumsAlone(
        Sums(
            n=n,
            mean=mean,
            sd=sd,
            low=0.0,
            high=0.0,
            values=values,
            block_values=values,
            places=places,
        )
    )
