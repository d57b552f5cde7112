"""The tried trials of a study, in memory: read from the store once, then kept up to date."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from permille.analysis.boundaries import Bounded, within
from permille.records.trial import Trial
from permille.store import Tried
from permille.units import per_1000


class Ledger:
    """Trials of one study and protocol, by cell and repeat.

    Only trials of a cell's own kind of machine count, by its fingerprint: of this one, or of the
    one that an agent measures. With ``pool``, finished trials of other kinds count too. A repeat is
    done once it is finished on ``replicas`` different machines. ``elsewhere`` has the finished
    trials of other kinds by fingerprint; ``cells`` are all tried cells.
    """

    def __init__(
        self,
        tried: Iterable[Tried],
        fingerprint_of: Callable[[str], str],
        *,
        pool: bool,
        replicas: int = 1,
    ) -> None:
        self._replicas = replicas
        self.elsewhere: Counter[str] = Counter()
        self.cells: set[str] = set()
        self._machines: dict[tuple[str, int], tuple[str, ...]] = {}
        self._failures: Counter[tuple[str, int]] = Counter()
        self._attempts: Counter[tuple[str, int]] = Counter()
        # Filled by count(): the rows of tried trials have no energy, and reading the trials
        # themselves would cost a large store seconds that only a study with a precision needs.
        self._values: defaultdict[str, list[float]] = defaultdict(list)
        for trial in tried:
            self.cells.add(trial.cell)
            here = trial.fingerprint == fingerprint_of(trial.cell)
            if trial.status == "done":
                if not here:
                    self.elsewhere[trial.fingerprint] += 1
                if here or pool:
                    self._finish(trial.cell, trial.repeat, trial.machine)
            # What failed on another machine, for want of memory for example, may succeed on this
            # one.
            elif here:
                self._failures[trial.cell, trial.repeat] += 1
            if here:
                self._attempts[trial.cell, trial.repeat] += 1

    def done(self, cell: str, repeat: int) -> bool:
        """Whether this repeat is finished, on every machine that is to make it."""
        return not self.missing(cell, repeat)

    def missing(self, cell: str, repeat: int) -> int:
        """The number of machines that are still to make this repeat."""
        return max(0, self._replicas - len(self.machines(cell, repeat)))

    def machines(self, cell: str, repeat: int) -> tuple[str, ...]:
        """The machines that have finished this repeat; of a run without replicas, one stands for
        all."""
        return self._machines.get((cell, repeat), ())

    def machine_of(self, machine: str | None) -> str | None:
        """How :meth:`machines` names a machine; None of one that is unknown, whose trial is
        nobody's replica."""
        return "" if self._replicas == 1 else machine

    def failures(self, cell: str, repeat: int) -> int:
        """The number of tries on this kind of machine that were not finished."""
        return self._failures[cell, repeat]

    def attempts(self, cell: str, repeat: int) -> int:
        """The number of tries on this machine."""
        return self._attempts[cell, repeat]

    def tried(self) -> dict[tuple[str, int], int]:
        """The number of tries of each repeat of each cell on this machine."""
        return dict(self._attempts)

    def touched(self) -> set[str]:
        """The cells that were tried on this machine."""
        return {cell for cell, _ in self._attempts}

    def values(self, cell: str) -> list[float]:
        """Joules per 1,000 inferences of the finished trials, for the stopping rule."""
        return self._values[cell]

    def add(self, trial: Trial) -> None:
        """Add a trial that has just been stored."""
        self._attempts[trial.cell.id, trial.repeat] += 1
        if trial.status == "done":
            self._finish(trial.cell.id, trial.repeat, trial.machine)
            self.count(trial)
        else:
            self._failures[trial.cell.id, trial.repeat] += 1

    def _finish(self, cell: str, repeat: int, machine: str | None) -> None:
        name, known = self.machine_of(machine), self.machines(cell, repeat)
        if name is not None and name not in known:
            self._machines[cell, repeat] = (*known, name)

    def count(self, trial: Trial) -> None:
        """Add a finished trial's energy to :meth:`values`."""
        query = trial.phases["query"]
        bounded = within(query, "compute")
        # What was planned where the count is missing, as for the figure itself (CellEnergy).
        inferences = query.inferences or trial.protocol.inferences
        if isinstance(bounded, Bounded):
            self._values[trial.cell.id].append(per_1000(bounded.energy_j, inferences))
