"""A badge for a README, as SVG: the energy of 1,000 inferences, its boundary and provenance."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, tostring

from permille.analysis.results import Results
from permille.exporters import OfResults
from permille.exporters.single import (
    boundary_text,
    energy_text,
    interval_of,
    named,
    only_row,
    provenance_text,
    shown,
)

_CHARACTER_PX = 6.4
"""About the mean width of a character of an 11 px sans-serif font. ``textLength`` makes the text
fit in the fonts of any reader."""

_HEIGHT, _MARGIN = 20, 6
_MEASURED, _OTHER = "#2a6f3b", "#7a5c00"
"""White text on either has a contrast above 4.5 : 1."""


def badge(results: Results) -> bytes:
    """The badge of the only row. The model and the interval are in its title.

    Raises:
        UsageError: there are several rows, or the figure, its interval or its provenance is
        missing.
    """
    row = only_row(results)
    text = " · ".join(
        (f"{energy_text(row)} / 1,000", boundary_text(results, row), provenance_text(row))
    )
    # A badge has no room for these; browsers show the title under the pointer, and screen readers
    # read it.
    title = f"{named(row)} on {shown(row.dataset)}: {text}; 95 % interval {interval_of(row)}"
    # By the colour, because a badge is read at a glance: an estimate is never green.
    return _drawn(text, title, _MEASURED if row.provenance == "measured" else _OTHER)


def _drawn(text: str, title: str, colour: str) -> bytes:
    left, right = _width("energy"), _width(text)
    # The namespace is an attribute here: ElementTree would write a prefix for it (ns0:svg), which
    # HTML does not understand for inline SVG.
    svg = Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        width=f"{left + right:g}",
        height=f"{_HEIGHT}",
        role="img",
    )
    SubElement(svg, "title").text = title
    for x, width, fill in ((0.0, left, "#444"), (left, right, colour)):
        SubElement(svg, "rect", x=f"{x:g}", width=f"{width:g}", height=f"{_HEIGHT}", fill=fill)
    for x, width, words in ((0.0, left, "energy"), (left, right, text)):
        # A reader may have none of the fonts: without a length, its own would reach over the edge.
        place = {"x": f"{x + _MARGIN:g}", "y": "14", "textLength": f"{width - 2 * _MARGIN:g}"}
        font = {"fill": "#fff", "font-family": "Verdana,DejaVu Sans,sans-serif", "font-size": "11"}
        SubElement(svg, "text", {**place, **font, "lengthAdjust": "spacingAndGlyphs"}).text = words
    drawn: bytes = tostring(svg, encoding="utf-8")
    return drawn + b"\n"


def _width(text: str) -> float:
    return round(len(text) * _CHARACTER_PX + 2 * _MARGIN, 1)


exporter = OfResults(badge)
