"""What a run cost, by its trials."""

from __future__ import annotations

from permille.records.energy import Phase
from permille.study.run.tally import RunTally
from tests.records import joules, trial


def test_a_trial_whose_energy_is_unknown_is_not_left_out_of_the_cost_unseen() -> None:
    whole = Phase(seconds=10.0, domains={"cpu:0": joules(36.0)})
    tally = RunTally()
    tally.add(trial(phases={"whole": whole}))
    assert (tally.energy_j, tally.uncounted) == (36.0, 0)
    tally.add(trial(status="invalid", phases={}))
    assert (tally.energy_j, tally.uncounted) == (36.0, 1)
