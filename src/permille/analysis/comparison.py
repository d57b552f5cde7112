"""The ratio of two models, and how a notebook shows it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from permille.analysis.cards import Card, CardLine, as_html
from permille.analysis.cell_summary import Summary
from permille.analysis.comparable import agent_of, weights
from permille.analysis.evidence_words import estimate_text, estimated_notes, over_sessions
from permille.analysis.quality import verdict_text
from permille.records import Record
from permille.records.energy import Estimate
from permille.records.recording import Provenance
from permille.units import counted, format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class CellRatio(Record):
    """One cell of both models and the ratio of their energies per inference, a over b."""

    a: Summary
    b: Summary
    ratio: Estimate
    warnings: tuple[str, ...] = ()


class Comparison(Record):
    """Model ``a`` over model ``b``; ``ratio`` is the geometric mean over the cells. ``net``: of the
    energies above idle."""

    a: str
    b: str
    ratio: Estimate
    cells: tuple[CellRatio, ...]
    net: bool = False

    def __repr__(self) -> str:
        ratio = estimate_text(self.ratio, format_number)
        facts = (counted(len(self.cells), "cell"), *_basis(self))
        return f"<Comparison: {self.a!r} needs {ratio} times the energy of {self.b!r}; " + (
            f"{', '.join(facts)}>"
        )

    def _repr_html_(self) -> str:
        return as_html(_card(self))

    def plot(self, ax: Axes | None = None) -> Axes:
        """The ratio of each cell with its 95 % interval, on a logarithmic scale. It is drawn on
        ``ax``, or on a new figure, with matplotlib.

        Raises:
            UsageError: matplotlib is not installed.
        """
        from permille.analysis.plots import PlottedRatio, ratio_axes

        ratios = [PlottedRatio(name=name, ratio=ratio) for name, ratio in _ratios(self)]
        label = f"ratio of the energies ({', '.join(_basis(self))})"
        return ratio_axes(ratios, f"{self.a} over {self.b}", label, ax)


def _card(comparison: Comparison) -> Card:
    """What a notebook shows."""
    notes = []
    for cell in comparison.cells:
        a, b = cell.a.quality, cell.b.quality
        if a and b and a.metric == b.metric:
            notes.append(f"{_where(cell)}: {verdict_text(a, b)}")
        over = over_sessions(cell.ratio, format_number)
        notes += [*([] if over is None else [over]), *cell.warnings]
    over = over_sessions(comparison.ratio, format_number)
    if over is not None and over not in notes:
        notes.append(f"mean of the {len(comparison.cells)} cells: {over}")
    notes += estimated_notes(
        agent_of(side) for side in _sides(comparison) if side.provenance == Provenance.ESTIMATED
    )
    return Card(
        title=f"Energy of {comparison.a} over that of {comparison.b}",
        lines=tuple(
            CardLine(label=name, text=f"{estimate_text(ratio, format_number)} times", bar=ratio)
            for name, ratio in _ratios(comparison)
        ),
        facts=("in brackets: 95 % intervals", *_basis(comparison)),
        # Cells share devices and machines, and so most of what is to be said of them.
        notes=tuple(dict.fromkeys(notes)),
        ratios=True,
    )


def _ratios(comparison: Comparison) -> list[tuple[str, Estimate]]:
    """The ratio of each cell and, if there are several, over all of them."""
    ratios = [(_where(cell), cell.ratio) for cell in comparison.cells]
    if len(ratios) > 1:
        ratios.append((f"over {len(ratios)} cells", comparison.ratio))
    return ratios


def _where(cell: CellRatio) -> str:
    return f"{cell.a.cell.task} on {cell.a.cell.dataset}"


def _sides(comparison: Comparison) -> list[Summary]:
    return [side for cell in comparison.cells for side in (cell.a, cell.b)]


def _basis(comparison: Comparison) -> list[str]:
    """The boundary, whether idle counts, and the provenance of both sides."""
    provenance = dict.fromkeys(side.provenance or "unknown" for side in _sides(comparison))
    return [
        # Every cell was summarised within the same one: place() keeps others apart.
        comparison.cells[0].a.boundary,
        *(["above idle"] if comparison.net else []),
        *dict.fromkeys(
            f"{found} weights" for side in _sides(comparison) if (found := weights(side.cell))
        ),
        " and ".join(provenance),
    ]
