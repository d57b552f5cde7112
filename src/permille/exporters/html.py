"""The explorer as one file, for any browser: every study, boundary and grid."""

from __future__ import annotations

from collections.abc import Set

from permille.exporters import Export, ExportRequest
from permille.extras import extra
from permille.output import STANDARD_OUTPUT


class Html:
    """The page has every setting, so the command takes none."""

    def refusal(self, given: Set[str]) -> str | None:
        """Refuses any option that selects data, and standard output."""
        if given - {STANDARD_OUTPUT}:
            return "html contains every study, boundary and grid: choose them in the page"
        if given:
            return "html needs a file name: permille export html figures.html"
        return None

    def export(self, request: ExportRequest) -> Export:
        """The page, with the shipped figures and those of the store."""
        with extra("explorer", "export html"):
            from permille.explorer import static_file

            content, damage = static_file.page(request.store)
        opens = "opens without a server or a network"
        return Export(content, damage=tuple(damage), about=opens)


exporter = Html()
