"""A label of one figure, as a page (HTML) or a picture (SVG), with everything it rests on."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Set
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from permille.exporters import Export, ExportRequest, markup
from permille.exporters.single import (
    checked_link,
    energy_text,
    facts,
    measured_on,
    named,
    only_row,
    shown,
    without,
)


class Label(NamedTuple):
    """What a label shows."""

    model: str
    subject: str
    energy: str
    facts: list[tuple[str, str]]
    link: str


class LabelFormat:
    """An exporter of the label of one figure."""

    own_options: Set[str] = frozenset({"link"})

    def __init__(self, draw: Callable[[Label], bytes]) -> None:
        self._draw = draw

    def refusal(self, given: Set[str]) -> str | None:
        """Every option is supported."""
        return None

    def export(self, request: ExportRequest) -> Export:
        """The label of the only row.

        Raises:
            UsageError: there are several rows, or a part that a label must have is missing.
        """
        return Export(self._draw(label_of(request)), 1)


def label_of(request: ExportRequest) -> Label:
    """What the label shows.

    Raises:
        UsageError: as :meth:`LabelFormat.export`.
    """
    results = request.results()
    row = only_row(results)
    days = measured_on(row, request.trials())
    # A label is shown on its own, so everything that the figure depends on must be on it.
    missing = [] if row.quality else ["no quality (its task must score the answers)"]
    if results.carbon.assumed:
        missing.append("no grid (add --region or --intensity)")
    if days is None:
        missing.append("no date")
    if request.link is None:
        missing.append("no link (add --link https://…)")
    if missing or days is None or request.link is None:
        raise without(row, missing)
    link = checked_link(request.link)
    return Label(
        model=named(row),
        subject=shown(f"{row.task} on {row.dataset}"),
        energy=energy_text(row),
        facts=facts(results, row, days, link),
        link=link,
    )


# --- the page --------------------------------------------------------------------------------

_STYLE = """
body { font: 16px/1.4 system-ui, sans-serif; color: #222; background: #fff; margin: 2rem; }
main { max-width: 40rem; border: 2px solid #222; padding: 1.5rem; margin: auto; }
h1 { font-size: 1.3rem; margin: 0; overflow-wrap: anywhere; }
.energy { font-size: 2.4rem; font-weight: 700; margin: 1rem 0 0; }
dl { display: grid; grid-template-columns: 9rem 1fr; gap: .3rem 1rem; margin: 1.5rem 0 0; }
dt { color: #555; }
dd { margin: 0; overflow-wrap: anywhere; }
"""


def as_page(label: Label) -> bytes:
    """One page without scripts; it loads nothing."""
    html, main = markup.page(f"Energy of {label.model}", _STYLE)
    SubElement(main, "h1").text = label.model
    SubElement(main, "div").text = label.subject
    SubElement(main, "p", {"class": "energy"}).text = label.energy
    SubElement(main, "div").text = "per 1,000 inferences"
    listed = SubElement(main, "dl")
    for name, text in label.facts:
        SubElement(listed, "dt").text = name
        value = SubElement(listed, "dd")
        # By its text: facts() puts the link among the other values.
        if text == label.link:
            markup.link(value, label.link)
        else:
            value.text = text
    return markup.as_bytes(html)


# --- the picture -----------------------------------------------------------------------------

_WIDTH, _LEFT, _INDENT, _LINE = 640, 24, 150, 22
_CHARACTERS, _TITLE_CHARACTERS = 52, 42
"""Characters of a line of values and of the model's name that fit in common sans-serif fonts."""


def as_picture(label: Label) -> bytes:
    """The same as an SVG picture."""
    # The namespace as an attribute, for the reason that badge.py gives.
    svg = Element("svg", xmlns="http://www.w3.org/2000/svg", width=f"{_WIDTH}", role="img")
    SubElement(svg, "title").text = f"Energy of {label.model}: {label.energy} per 1,000 inferences"
    frame = SubElement(svg, "rect", x="1", y="1", width=f"{_WIDTH - 2}", fill="#fff", stroke="#222")
    y = 20
    for line in _wrapped(label.model, _TITLE_CHARACTERS):
        y += _LINE
        _text(svg, line, _LEFT, y, size=18, weight="700")
    for line in _wrapped(label.subject, _TITLE_CHARACTERS):
        y += _LINE
        _text(svg, line, _LEFT, y)
    y += 50
    _text(svg, label.energy, _LEFT, y, size=36, weight="700")
    y += 26
    _text(svg, "per 1,000 inferences", _LEFT, y)
    y += 12
    for name, text in label.facts:
        _text(svg, name, _LEFT, y + _LINE, colour="#555")
        for line in _wrapped(text, _CHARACTERS):
            y += _LINE
            _text(svg, line, _LEFT + _INDENT, y)
    # Known only now: how many lines there are depends on the names and the notes.
    height = y + 24
    svg.set("height", f"{height}")
    svg.set("viewBox", f"0 0 {_WIDTH} {height}")
    frame.set("height", f"{height - 2}")
    drawn: bytes = tostring(svg, encoding="utf-8")
    return drawn + b"\n"


def _wrapped(text: str, characters: int) -> list[str]:
    """At least one line. SVG does not break lines itself."""
    return textwrap.wrap(text, characters) or [""]


def _text(
    svg: Element,
    text: str,
    x: int,
    y: int,
    *,
    size: int = 14,
    weight: str = "400",
    colour: str = "#222",
) -> None:
    font = {"font-family": "Verdana,DejaVu Sans,sans-serif", "font-size": f"{size}"}
    place = {"x": f"{x}", "y": f"{y}", "fill": colour, "font-weight": weight}
    SubElement(svg, "text", {**place, **font}).text = text


page = LabelFormat(as_page)
picture = LabelFormat(as_picture)
