"""What a run did and what it cost. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from permille.analysis.boundaries import Bounded, within
from permille.energy.disturbance import disturbed
from permille.records.trial import Trial


@dataclass
class RunTally:
    """What a run did. ``kept`` trials were there already; ``elsewhere`` were made meanwhile by
    another run of the study; of ``disturbed`` ones other processes took too much; ``lost`` ones
    were not made because no machine was left that could. ``energy_j`` lacks what the ``uncounted``
    trials cost, of which no figure is known."""

    done: int = 0
    failed: int = 0
    invalid: int = 0
    kept: int = 0
    given_up: int = 0
    left_out: int = 0
    elsewhere: int = 0
    disturbed: int = 0
    lost: int = 0
    energy_j: float | None = None
    uncounted: int = 0
    recorder_cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def made(self) -> int:
        """The number of trials that this run made."""
        return self.done + self.failed + self.invalid

    @property
    def complete(self) -> bool:
        """Whether every trial of the plan is finished."""
        # `elsewhere` is not in it: the run that made those trials reports them.
        return not (self.failed or self.invalid or self.given_up or self.left_out or self.lost)

    def add(self, trial: Trial) -> None:
        """Count one trial and what it cost."""
        self.disturbed += bool(disturbed(trial.phases))
        if trial.status == "done":
            self.done += 1
        else:
            self.failed += trial.status == "failed"
            self.invalid += trial.status == "invalid"
        self.add_cost(trial)

    def add_cost(self, trial: Trial) -> None:
        """Count what a trial cost alone."""
        if trial.overhead:
            self.recorder_cpu_s += trial.overhead.cpu_s
            self.wall_s += trial.overhead.wall_s
        # Within "node", whatever boundary the results have: the machine drew all of it.
        whole = trial.phases.get("whole")
        spent = within(whole, "node") if whole else None
        if isinstance(spent, Bounded):
            self.energy_j = (self.energy_j or 0.0) + spent.energy_j
        else:
            self.uncounted += 1
