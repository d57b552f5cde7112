"""One figure as a page that answers the questions of SCI for AI and of the EU AI Act.

What is not known is answered so ("not measured", "not recorded"). The page is a source for the
documentation that people write; it is not a statement of conformity.
"""

from __future__ import annotations

from collections.abc import Set
from xml.etree.ElementTree import Element, SubElement

from permille.exporters import HARDWARE, Export, ExportRequest, markup
from permille.exporters.report_answers import (
    SOURCES,
    ClauseAnswer,
    ReportFigure,
    Section,
    headline,
    sections,
)
from permille.exporters.single import (
    checked_link,
    finished_of,
    measured_on,
    named,
    only_row,
    shown,
)
from permille.records.cell import ModelFacts
from permille.units import counted

_STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; color: #222; background: #fff; margin: 2rem; }
main { max-width: 62rem; margin: auto; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
.energy { font-size: 1.6rem; font-weight: 700; margin: 1rem 0 0; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
th, td { text-align: left; vertical-align: top; padding: .45rem .8rem .45rem 0;
  border-top: 1px solid #ddd; overflow-wrap: anywhere; font-weight: 400; }
thead th { color: #555; border: 0; }
.q { width: 24%; } .c { width: 26%; color: #555; font-size: .9rem; }
.unknown { color: #8a3b00; font-style: italic; }
.note { display: block; color: #555; font-size: .9rem; }
@media (max-width: 40rem) {
  body { margin: 1rem; }
  table, tbody, tr, th, td { display: block; }
  thead { display: none; }
  .q, .c { width: auto; }
  .q { font-weight: 700; }
  th, td { border: 0; padding: .1rem 0; }
  tr { border-top: 1px solid #ddd; padding: .5rem 0; }
}
"""


class ReportPage:
    """The page of the only row."""

    own_options: Set[str] = frozenset({"link"}) | HARDWARE

    def refusal(self, given: Set[str]) -> str | None:
        """Every option is supported."""
        return None

    def export(self, request: ExportRequest) -> Export:
        """The page.

        Raises:
            UsageError: there are several rows, or no figure with its interval.
        """
        results = request.results()
        row = only_row(results)
        link = None if request.link is None else checked_link(request.link)
        trials = list(finished_of(row, request.trials()))
        # The newest trial's. The shipped study has figures and no trials.
        facts = trials[-1].facts if trials else ModelFacts()
        machine = trials[-1].environment.facts if trials else {}
        measured = ReportFigure(results, row, facts, machine, measured_on(row, trials))
        answered = sections(measured)
        unknown = sum(a.text is None for section in answered for a in section.answers)
        notes = (f"{counted(unknown, 'question has', 'questions have')} no answer",)
        return Export(_page(measured, answered, link), 1, notes)


exporter = ReportPage()


def _page(measured: ReportFigure, answered: list[Section], link: str | None) -> bytes:
    row = measured.row
    html, main = markup.page(f"Energy of {named(row)}: SCI for AI, EU AI Act", _STYLE)
    SubElement(main, "h1").text = named(row)
    SubElement(main, "div").text = shown(f"{row.task} on {row.dataset}")
    SubElement(main, "p", {"class": "energy"}).text = headline(measured)
    SubElement(main, "p").text = (
        "Answers to the questions of SCI for AI and of the EU AI Act on the energy of inference,"
        " each with its clause. It is not a statement of conformity."
    )
    for section in answered:
        SubElement(main, "h2").text = section.title
        _table(main, section.answers)
    SubElement(main, "h2").text = "Texts"
    for name, text in SOURCES:
        SubElement(main, "div", {"class": "note"}).text = f"{name}: {text}."
    if link is not None:
        last = SubElement(main, "p")
        last.text = "Where this can be checked: "
        markup.link(last, link)
    return markup.as_bytes(html)


def _table(main: Element, answers: list[ClauseAnswer]) -> None:
    """Question, answer and, if there are any, clauses."""
    table = SubElement(main, "table")
    with_clauses = any(answer.clause for answer in answers)
    head = SubElement(SubElement(table, "thead"), "tr")
    SubElement(head, "th", {"class": "q"}).text = "Question"
    SubElement(head, "th").text = "Answer"
    if with_clauses:
        SubElement(head, "th", {"class": "c"}).text = "Clause"
    body = SubElement(table, "tbody")
    for answer in answers:
        line = SubElement(body, "tr")
        SubElement(line, "th", {"class": "q", "scope": "row"}).text = answer.question
        cell = SubElement(line, "td")
        style = {"class": "unknown"} if answer.text is None else {}
        SubElement(cell, "span", style).text = answer.text or answer.missing
        if answer.note:
            SubElement(cell, "span", {"class": "note"}).text = answer.note
        if with_clauses:
            SubElement(line, "td", {"class": "c"}).text = answer.clause
