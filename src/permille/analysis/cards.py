"""What a notebook shows of figures: small HTML tables with bars. Pure.

There is no script and no style sheet, because notebooks remove both where they do not trust the
page. Text has the colour of the page around it, so that it can be read in light and dark themes.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from permille.escaping import plain
from permille.records import Record
from permille.records.energy import Estimate

_FILL = "rgba(74,144,226,0.6)"
_TRACK = "rgba(128,128,128,0.25)"
_QUIET = "opacity:0.75;font-size:90%"
_TABLE = "border-collapse:collapse;margin:2px 0;color:inherit;font-size:inherit"
_CELL = "text-align:left;color:inherit;padding:2px 12px 2px 0;vertical-align:middle;background:none"
_BAR_PX = 160
_MOST_CHARACTERS = 300


class CardLine(Record):
    """One line: its label, the figure as text, and what the bar shows; None: no bar."""

    label: str
    text: str
    bar: Estimate | None = None


class Card(Record):
    """A title, lines of figures whose bars have one scale, what the figures rest on, and notes.

    Bars start at 0; with ``ratios`` they are on a logarithmic scale, with a mark at 1.
    """

    title: str
    lines: tuple[CardLine, ...]
    facts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    ratios: bool = False


def as_html(card: Card) -> str:
    """The card as HTML, with everything that comes from outside escaped."""
    bars = [line.bar for line in card.lines if line.bar is not None]
    scale = _Scale(bars, ratios=card.ratios)
    rows = "".join(
        f'<tr style="background:none"><td style="{_CELL}">{_safe(line.label)}</td>'
        f'<td style="{_CELL}">{_safe(line.text)}</td>'
        f'<td style="{_CELL}">{scale.bar(line.bar, line.text)}</td></tr>'
        for line in card.lines
    )
    facts = f'<div style="{_QUIET}">{_safe(" · ".join(card.facts))}</div>' if card.facts else ""
    notes = "".join(f'<div style="{_QUIET}">{_safe(note)}</div>' for note in card.notes)
    return (
        f"<div><strong>{_safe(card.title)}</strong>"
        f'<table style="{_TABLE}">{rows}</table>{facts}{notes}</div>'
    )


def _safe(text: str) -> str:
    return html.escape(plain(text, limit=_MOST_CHARACTERS))


class _Scale:
    """Places of figures on a bar, from 0 to 1."""

    def __init__(self, figures: Sequence[Estimate], *, ratios: bool) -> None:
        self._ratios = ratios
        ends = [
            end
            for each in figures
            for end in (each.low, each.value, each.high)
            # An end at 0 has no place on a logarithmic scale.
            if end is not None and (end > 0 or not ratios)
        ]
        # With a tenth of room, so that a mark at an end is seen, and a scale of equal ratios has a
        # width.
        self._low = math.log(min([1.0, *ends]) / 1.1) if ratios else min([0.0, *ends])
        self._high = math.log(max([1.0, *ends]) * 1.1) if ratios else max([0.0, *ends])

    def _place(self, value: float) -> float:
        if self._ratios:
            if value <= 0:
                return 0.0
            value = math.log(value)
        return (value - self._low) / (self._high - self._low) if self._high > self._low else 0.0

    def bar(self, figure: Estimate | None, text: str) -> str:
        """The interval as a coloured stretch, the figure as a line in it, and the line at 1."""
        if figure is None:
            return ""
        value = self._place(figure.value)
        has_interval = figure.low is not None and figure.high is not None
        low = self._place(figure.low) if figure.low is not None and has_interval else value
        high = self._place(figure.high) if figure.high is not None and has_interval else value
        marks = {value: 1.0}
        if self._ratios:
            # A figure of exactly 1 keeps its own mark, which is the stronger one.
            marks.setdefault(self._place(1.0), 0.5)
        inner = _pieces(low, high, marks)
        return (
            f'<div role="img" title="{_safe(text)}" style="display:flex;width:{_BAR_PX}px;'
            f'height:10px;background:{_TRACK}">{inner}</div>'
        )


def _pieces(low: float, high: float, marks: dict[float, float]) -> str:
    """Boxes side by side: coloured between ``low`` and ``high``, with a line at each mark, whose
    value is its opacity."""
    boxes = []
    edges = sorted({0.0, low, high, *marks, 1.0})
    for i, edge in enumerate(edges):
        if edge in marks:
            # Its margins take back its width, so that a mark does not push aside the boxes after
            # it.
            boxes.append(
                f'<span style="flex:none;width:2px;margin:0 -1px;background:currentColor;'
                f'opacity:{marks[edge]:g}"></span>'
            )
        if i + 1 < len(edges):
            inside = low <= edge and edges[i + 1] <= high
            fill = f";background:{_FILL}" if inside else ""
            width = (edges[i + 1] - edge) * 100
            boxes.append(f'<span style="flex:none;width:{width:.3g}%{fill}"></span>')
    return "".join(boxes)
