"""Pages as HTML without scripts, which load nothing. Text is escaped by the serialiser."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, tostring


def page(title: str, style: str) -> tuple[Element, Element]:
    """An empty page and its ``main`` element."""
    html = Element("html", lang="en")
    head = SubElement(html, "head")
    # First: it must be within the first 1,024 bytes (HTML Standard, 4.2.5.4).
    SubElement(head, "meta", charset="utf-8")
    SubElement(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    SubElement(head, "title").text = title
    SubElement(head, "style").text = style
    return html, SubElement(SubElement(html, "body"), "main")


def as_bytes(html: Element) -> bytes:
    """The page as a file."""
    # As XML, an element without content would be <p/>, which HTML takes for one that stays open.
    markup: bytes = tostring(html, encoding="utf-8", method="html")
    return b"<!doctype html>\n" + markup + b"\n"


def link(parent: Element, address: str) -> None:
    """A link that tells its target nothing of the page."""
    SubElement(parent, "a", href=address, rel="noopener noreferrer").text = address
