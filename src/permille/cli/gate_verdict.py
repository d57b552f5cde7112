"""The verdict of ``permille gate`` on two commands: as JSON, as Markdown, and for people."""

from __future__ import annotations

from permille.analysis.answer import times_text
from permille.analysis.estimates import Interval, estimate_of
from permille.analysis.gate import Verdict
from permille.cli.markdown import code
from permille.records import JsonOutput
from permille.records.energy import Boundary, Estimate
from permille.records.recording import Provenance
from permille.units import counted

_LONGEST = 200
"""The most characters of a command line or a reason on a summary page."""


class GateOutput(JsonOutput):
    """The output of ``permille gate --json``. ``ratio``: the energy of the second command (head)
    divided by that of the first (base), over ``blocks`` rounds, in each of which both ran.
    ``confidence``: that of its interval, higher the more often the verdict was checked.
    ``more_blocks_needed``: about how many more rounds would settle it at the spread so far, null if
    that is unknown or no number would. ``reason``: why there is no figure."""

    verdict: Verdict
    max_increase: float
    ratio: Interval
    confidence: float
    blocks: int
    more_blocks_needed: int | None
    base: str
    head: str
    boundary: Boundary
    provenance: Provenance | None
    reason: str | None


def markdown(output: GateOutput) -> str:
    """The verdict for a summary page."""
    estimate = estimate_of(output.ratio)
    verdict = output.verdict.replace("-", " ")
    rows = [
        ("verdict", f"**{verdict}**"),
        ("energy of head over base", "n/a" if estimate is None else times_text(estimate)),
        ("allowed", f"{1 + output.max_increase:.4g} times"),
        # As code: the page is rendered, and a command line may look like Markdown.
        ("base", code(output.base, _LONGEST)),
        ("head", code(output.head, _LONGEST)),
        ("rounds", str(output.blocks)),
        ("boundary", output.boundary),
        ("provenance", output.provenance or "n/a"),
        *([("reason", code(output.reason, _LONGEST))] if output.reason else []),
    ]
    lines = ["| energy gate | |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in rows)]
    return "\n".join(lines) + "\n"


def sentence(output: GateOutput) -> str:
    """The verdict for people."""
    if output.reason is not None:
        return f"no verdict: {output.reason}"
    estimate = estimate_of(output.ratio)
    # Where there is no ratio, there is a reason (commands/gate.py, _judged).
    assert estimate is not None
    shown = (
        f"{output.head} needs {times_text(estimate)} the energy of {output.base}"
        f" ({output.confidence:.4g} confidence, {counted(output.blocks, 'round')})"
    )
    if output.verdict == "pass":
        return f"passes: {shown}; at most {1 + output.max_increase:.4g} times are allowed"
    if output.verdict == "fail":
        return f"fails: {shown}; more than {1 + output.max_increase:.4g} times"
    return f"cannot tell: {shown}; {_advice(output, estimate)}"


def _advice(output: GateOutput, estimate: Estimate) -> str:
    """What would tell."""
    # First: without an interval, the number of further rounds is unknown, too.
    if estimate.low is None:
        return "a single round has no interval: use more (--rounds)"
    more = output.more_blocks_needed
    if more is None:
        allowed = f"{output.max_increase:.3g}"
        return f"too close to an increase of {allowed} for any number of rounds to tell"
    return f"about {counted(more, 'more round')} would tell (--rounds {output.blocks + more})"
