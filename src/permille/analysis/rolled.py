"""The aggregate of each group of trials in a store's roll-up: its cell, with every boundary's
sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from permille.analysis.cell_summary import Summary, Sums, TokenEnergy
from permille.analysis.study_cells import METERED, StudyCell, cell_of
from permille.records import Record
from permille.records.energy import Boundary
from permille.records.trial import Trial


class Rolled(Record):
    """A group as one cell. ``weights`` is that of :class:`permille.records.cell.ModelFacts`."""

    cell: StudyCell
    batch_size: int
    weights: str | None


class CellFold:
    """The fold of permille's figures (see :class:`permille.store.Fold`).

    ``version`` must be raised by one when the same trials give a different result, or when the
    records of the result change: stores then recompute it. A test with golden sums fails otherwise.
    """

    version = 14

    def of(self, trials: Sequence[Trial]) -> Rolled:
        """Aggregate the trials of one group.

        Raises:
            ValueError: they are not from one group.
        """
        cell = cell_of(trials)
        done = next((trial for trial in trials if trial.status == "done"), trials[0])
        return Rolled(
            cell=cell, batch_size=trials[0].protocol.batch_size, weights=done.facts.weights
        )

    def pack(self, rolled: Rolled) -> bytes:
        """Drop the single values, which only the interval of a stopping rule needs; and of
        boundaries with the same domains, keep the figures once."""
        distinct: list[Summary] = []
        boundaries: dict[Boundary, _InBoundary] = {}
        for boundary in METERED:
            summary = rolled.cell.summaries[boundary]
            figures = msgspec.structs.replace(summary, boundary="node", notes=())
            if figures not in distinct:
                distinct.append(figures)
            boundaries[boundary] = _InBoundary(distinct.index(figures), summary.notes)
        cell = rolled.cell
        packed = _Packed(
            batch_size=rolled.batch_size,
            weights=rolled.weights,
            cell=msgspec.structs.replace(
                cell,
                summaries={},
                parts={name: _lean(sums) for name, sums in cell.parts.items()},
            ),
            boundaries=boundaries,
            distinct=tuple(map(_lean_summary, distinct)),
        )
        return msgspec.msgpack.encode(packed)

    def unpack(self, body: bytes) -> Rolled:
        """Unpack the result of :meth:`pack`.

        Raises:
            ValueError: the body is not from this fold.
        """
        packed = _PACKED.decode(body)
        summaries = {
            boundary: _in_boundary(packed.distinct, boundary, place)
            for boundary, place in packed.boundaries.items()
        }
        return Rolled(
            cell=msgspec.structs.replace(packed.cell, summaries=summaries),
            batch_size=packed.batch_size,
            weights=packed.weights,
        )


class _InBoundary(NamedTuple):
    """What a boundary's summary is: the number of its figures, and its own notes."""

    number: int
    notes: tuple[str, ...]


class _Packed(Record):
    """A group in the roll-up. ``cell`` is without summaries, ``distinct`` without their boundaries
    and notes."""

    batch_size: int
    weights: str | None
    cell: StudyCell
    boundaries: dict[Boundary, _InBoundary]
    distinct: tuple[Summary, ...]


def _in_boundary(distinct: Sequence[Summary], boundary: Boundary, place: _InBoundary) -> Summary:
    if not 0 <= place.number < len(distinct):
        raise ValueError(f"there are no figures {place.number}")
    figures = distinct[place.number]
    if figures.boundary == boundary and figures.notes == place.notes:
        return figures
    return msgspec.structs.replace(figures, boundary=boundary, notes=place.notes)


def _lean_summary(summary: Summary) -> Summary:
    return msgspec.structs.replace(
        summary,
        energy=summary.energy and _lean(summary.energy),
        net=summary.net and _lean(summary.net),
        per_token=summary.per_token and _lean_tokens(summary.per_token),
        net_per_token=summary.net_per_token and _lean_tokens(summary.net_per_token),
        per_unit=_lean_units(summary.per_unit),
        net_per_unit=_lean_units(summary.net_per_unit),
        run=summary.run and _lean(summary.run),
        seconds=summary.seconds and _lean(summary.seconds),
    )


def _lean(sums: Sums) -> Sums:
    return sums if sums.asked else msgspec.structs.replace(sums, values=())


def _lean_tokens(tokens: TokenEnergy) -> TokenEnergy:
    return TokenEnergy(output=_lean(tokens.output), every=tokens.every and _lean(tokens.every))


def _lean_units(units: dict[str, Sums]) -> dict[str, Sums]:
    return {unit: _lean(sums) for unit, sums in units.items()}


_PACKED = msgspec.msgpack.Decoder(_Packed)
CELLS = CellFold()


class _Undecoded(Record):
    """:class:`_Packed`, of which little is decoded."""

    boundaries: dict[Boundary, _InBoundary]
    distinct: tuple[msgspec.Raw, ...]


_UNDECODED = msgspec.msgpack.Decoder(_Undecoded)
_SUMMARY = msgspec.msgpack.Decoder(Summary)


class BoundaryReading:
    """One boundary's summary of each group: nothing else of what :data:`CELLS` keeps is decoded."""

    version = CellFold.version

    def __init__(self, boundary: Boundary) -> None:
        # The joules of facility are the node's: PUE is applied together with carbon.
        self._metered: Boundary = "node" if boundary == "facility" else boundary
        self._boundary = boundary

    def of(self, trials: Sequence[Trial]) -> Summary:
        """Summarise the trials of one group."""
        summary = CELLS.of(trials).cell.summaries[self._metered]
        return msgspec.structs.replace(summary, boundary=self._boundary)

    def unpack(self, body: bytes) -> Summary:
        """The summary in what :meth:`CellFold.pack` made.

        Raises:
            ValueError: the body is not from that fold.
        """
        packed = _UNDECODED.decode(body)
        place = packed.boundaries.get(self._metered)
        if place is None or not 0 <= place.number < len(packed.distinct):
            raise ValueError(f"there are no figures of {self._metered}")
        figures = _SUMMARY.decode(packed.distinct[place.number])
        return msgspec.structs.replace(figures, boundary=self._boundary, notes=place.notes)
