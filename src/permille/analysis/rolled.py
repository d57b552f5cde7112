"""The aggregate of each group of trials in a store's roll-up: its cell, with every boundary's
sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from permille.analysis.cell_summary import Summary, Sums, TokenEnergy
from permille.analysis.study_cells import StudyCell, cell_of
from permille.records import Boundary, Record, Trial


class Rolled(Record):
    """A group as one cell. ``weights`` is that of :class:`permille.records.ModelFacts`."""

    cell: StudyCell
    batch_size: int
    weights: str | None


class CellFold:
    """The fold of permille's figures (see :class:`permille.store.Fold`).

    ``version`` must be raised by one when the same trials give a different result, or when the
    records of the result change: stores then recompute it. A test with golden sums fails otherwise.
    """

    version = 12

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
        """Drop the single values, which only the interval of a stopping rule needs."""
        cell = rolled.cell
        lean = msgspec.structs.replace(
            cell,
            parts={name: _lean(sums) for name, sums in cell.parts.items()},
            summaries={
                boundary: msgspec.structs.replace(
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
                for boundary, summary in cell.summaries.items()
            },
        )
        return msgspec.msgpack.encode(msgspec.structs.replace(rolled, cell=lean))

    def unpack(self, body: bytes) -> Rolled:
        """Unpack the result of :meth:`pack`.

        Raises:
            ValueError: the body is not from this fold.
        """
        return _ROLLED.decode(body)


def _lean(sums: Sums) -> Sums:
    return sums if sums.asked else msgspec.structs.replace(sums, values=())


def _lean_tokens(tokens: TokenEnergy) -> TokenEnergy:
    return TokenEnergy(output=_lean(tokens.output), every=tokens.every and _lean(tokens.every))


def _lean_units(units: dict[str, Sums]) -> dict[str, Sums]:
    return {unit: _lean(sums) for unit, sums in units.items()}


_ROLLED = msgspec.msgpack.Decoder(Rolled)
CELLS = CellFold()


class BoundaryReading:
    """One boundary's summary of each group: nothing else of what :data:`CELLS` keeps is decoded."""

    version = CellFold.version

    def __init__(self, boundary: Boundary) -> None:
        # The joules of facility are the node's: PUE is applied together with carbon.
        self._metered: Boundary = "node" if boundary == "facility" else boundary
        self._boundary = boundary
        summary = msgspec.defstruct("_OneSummary", [(self._metered, Summary)])
        cell = msgspec.defstruct("_OfCell", [("summaries", summary)])
        rolled = msgspec.defstruct("_OfRolled", [("cell", cell)])
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(rolled)

    def of(self, trials: Sequence[Trial]) -> Summary:
        """Summarise the trials of one group."""
        return self._as_asked(CELLS.of(trials).cell.summaries[self._metered])

    def unpack(self, body: bytes) -> Summary:
        """The summary in what :meth:`CellFold.pack` made.

        Raises:
            ValueError: the body is not from that fold.
        """
        return self._as_asked(getattr(self._decoder.decode(body).cell.summaries, self._metered))

    def _as_asked(self, summary: Summary) -> Summary:
        if self._boundary == self._metered:
            return summary
        return msgspec.structs.replace(summary, boundary=self._boundary)
