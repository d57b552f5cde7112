"""The aggregate of each group of trials in a store's roll-up: its cell, with every boundary's
sums."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from permille.analysis.cell_summary import Summary, TokenEnergy
from permille.analysis.study_cells import METERED, StudyCell, cell_of
from permille.analysis.trial_sums import BlockPlace, Sums
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

    version = 18

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
        """Drop the single values, which only the interval of a stopping rule needs; of boundaries
        with the same domains, keep the figures once; and the places of the trials once for all
        figures. Intervals are kept, which take long to work out."""
        distinct: list[Summary] = []
        boundaries: dict[Boundary, _InBoundary] = {}
        for boundary in METERED:
            summary = rolled.cell.summaries[boundary]
            # Under one name and without notes, so that boundaries of the same domains compare
            # equal.
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
                parts={name: _without_values(sums) for name, sums in cell.parts.items()},
            ),
            boundaries=boundaries,
            distinct=tuple(map(_packed, distinct)),
        )
        return msgspec.msgpack.encode(packed)

    def unpack(self, body: bytes) -> Rolled:
        """Unpack the result of :meth:`pack`.

        Raises:
            ValueError: the body is not from this fold.
        """
        packed = _PACKED.decode(body)
        distinct = [_unpacked(figures) for figures in packed.distinct]
        summaries = {
            boundary: _in_boundary(distinct, boundary, place)
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


class _Figures(NamedTuple):
    """A packed summary without its boundary and notes, and the packed places of its figures."""

    # Raw, so that a reader of one boundary only decodes the figures of that one, and the places,
    # which most cells of a study share, only once (_places).
    summary: msgspec.Raw
    places: msgspec.Raw


class _Packed(Record):
    """A group in the roll-up. ``cell`` is without summaries."""

    batch_size: int
    weights: str | None
    cell: StudyCell
    boundaries: dict[Boundary, _InBoundary]
    distinct: tuple[_Figures, ...]


def _in_boundary(distinct: Sequence[Summary], boundary: Boundary, place: _InBoundary) -> Summary:
    if not 0 <= place.number < len(distinct):
        raise ValueError(f"there are no figures {place.number}")
    figures = distinct[place.number]
    if figures.boundary == boundary and figures.notes == place.notes:
        return figures
    return msgspec.structs.replace(figures, boundary=boundary, notes=place.notes)


def _packed(summary: Summary) -> _Figures:
    """The summary without what need not be kept, and the places of its figures."""
    # All figures are of the same trials: those that have a figure within the boundary.
    places = summary.energy.places if summary.energy else ()
    lean = msgspec.structs.replace(
        summary,
        energy=summary.energy and _lean(summary.energy),
        net=summary.net and _lean(summary.net),
        per_token=summary.per_token and _lean_tokens(summary.per_token),
        net_per_token=summary.net_per_token and _lean_tokens(summary.net_per_token),
        per_unit=_lean_units(summary.per_unit),
        net_per_unit=_lean_units(summary.net_per_unit),
        run=summary.run and _lean(summary.run),
        seconds=summary.seconds and _without_values(summary.seconds),
    )
    encode = msgspec.msgpack.encode
    return _Figures(msgspec.Raw(encode(lean)), msgspec.Raw(encode(places)))


def _lean(sums: Sums) -> Sums:
    """A figure with its intervals, which would take most of the time of reading many cells."""
    return msgspec.structs.replace(_without_values(sums), kept=sums.intervals().packed())


def _without_values(sums: Sums) -> Sums:
    return msgspec.structs.replace(sums, values=sums.values if sums.asked else (), places=())


def _without_blocks(sums: Sums) -> Sums:
    """Figures that nothing pairs block by block: their intervals are kept."""
    return msgspec.structs.replace(_lean(sums), block_values=())


def _lean_tokens(tokens: TokenEnergy) -> TokenEnergy:
    return TokenEnergy(
        output=_without_blocks(tokens.output), every=tokens.every and _without_blocks(tokens.every)
    )


def _lean_units(units: dict[str, Sums]) -> dict[str, Sums]:
    return {unit: _without_blocks(sums) for unit, sums in units.items()}


def _unpacked(figures: _Figures) -> Summary:
    summary = _SUMMARY.decode(figures.summary)
    places = _places(bytes(figures.places))
    for sums in (summary.energy, summary.net):
        if sums is None or not sums.block_values:
            continue
        # Ratios take their logarithms.
        if min(sums.block_values) <= 0 and sums.intervals().over_sessions:
            raise ValueError("a figure over sessions is not above 0")
        if places:
            if len(places) != len(sums.block_values):
                raise ValueError("there is not one place for each figure")
            # It was made above, and nobody has it yet.
            msgspec.structs.force_setattr(sums, "places", places)
    return summary


@lru_cache(maxsize=1024)
def _places(body: bytes) -> tuple[BlockPlace, ...]:
    """The places: those of most cells of a study are the same."""
    return _PLACES.decode(body)


_PLACES = msgspec.msgpack.Decoder(tuple[BlockPlace, ...])
_SUMMARY = msgspec.msgpack.Decoder(Summary)
_PACKED = msgspec.msgpack.Decoder(_Packed)
CELLS = CellFold()


class _Undecoded(Record):
    """:class:`_Packed`, of which little is decoded."""

    boundaries: dict[Boundary, _InBoundary]
    distinct: tuple[_Figures, ...]


_UNDECODED = msgspec.msgpack.Decoder(_Undecoded)


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
        figures = _unpacked(packed.distinct[place.number])
        # It was made above, and nobody has it yet.
        msgspec.structs.force_setattr(figures, "boundary", self._boundary)
        msgspec.structs.force_setattr(figures, "notes", place.notes)
        return figures
