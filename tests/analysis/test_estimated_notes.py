"""The words about an estimate name the machine whose energy it is."""

from __future__ import annotations

import msgspec

from permille.analysis.comparable import agent_of
from permille.analysis.evidence_words import estimated_notes
from permille.analysis.summaries import summarise
from tests.records import cell, trial

AGENT = "https://gpu-7.example:9465"


def test_each_machine_is_named_once() -> None:
    here, there = estimated_notes([None, AGENT, None, AGENT])
    assert here.startswith("estimated: no energy counter could be read on the machine that was")
    assert f"on gpu-7.example, the machine of the agent at {AGENT}, so power is" in there
    assert estimated_notes([]) == []


def test_a_summary_knows_the_agent_of_its_trials() -> None:
    far = trial(cell=cell(settings={"meter": AGENT}))
    (found,) = summarise([far], "compute")
    assert agent_of(found) == AGENT
    # Another tool's file may have a setting of that name, which is no agent of ours.
    (imported,) = summarise([msgspec.structs.replace(far, source="elsewhere")], "compute")
    assert agent_of(imported) is None
