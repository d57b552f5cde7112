"""What the published study's cells took there: seconds per inference, and parameters."""

from __future__ import annotations

from permille.records import Record


class Published(Record):
    """For a cell of the study: seconds per inference, and parameters."""

    seconds: float
    params: int


def published() -> dict[tuple[str, str, str], Published]:
    """The study's cells by (task, dataset, model)."""
    from permille.analysis.paper.published import load

    known = {}
    for cell in load().cells:
        summary = cell.summary
        if summary.seconds is not None and summary.params is not None:
            key = (summary.cell.task, summary.cell.dataset, summary.cell.model)
            # The tables are of 1,000 inferences.
            known[key] = Published(seconds=summary.seconds.mean / 1000, params=summary.params)
    return known
