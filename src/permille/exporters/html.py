"""The explorer as one file, for any browser: every study, boundary and grid."""

from __future__ import annotations

from collections.abc import Set

from permille.exporters import STANDARD_OUTPUT, Asked, Export
from permille.extras import extra


class Html:
    """What a question is asked with is chosen in the page."""

    def refusal(self, given: Set[str]) -> str | None:
        """Any option that would choose, and standard output."""
        if given - {STANDARD_OUTPUT}:
            return "html holds every study, boundary and grid: choose in the page"
        if given:
            return "html is written to a file: permille export html figures.html"
        return None

    def export(self, asked: Asked) -> Export:
        """The page, with the shipped figures and those of the store."""
        with extra("explorer", "export html"):
            from permille.explorer import static_file

            content, damage = static_file.page(asked.store)
        opens = "opens without a server or a network"
        return Export(content, damage=tuple(damage), about=opens)


exporter = Html()
