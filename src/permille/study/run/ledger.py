"""The tried trials of a study, in memory: read from the store once, then kept up to date."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from permille.analysis.boundaries import Bounded, within
from permille.records import Trial
from permille.store import Tried
from permille.units import per_1000


class Ledger:
    """Trials of one study and protocol, by cell and repeat.

    Only trials of a cell's own machine count, by its fingerprint: of this one, or of the one that
    an agent measures. With ``pool``, finished trials of other machines count too.
    ``elsewhere`` has the finished trials of other machines by fingerprint; ``cells`` are all tried
    cells.
    """

    def __init__(
        self, tried: Iterable[Tried], fingerprint_of: Callable[[str], str], *, pool: bool
    ) -> None:
        self.elsewhere: Counter[str] = Counter()
        self.cells: set[str] = set()
        self._done: set[tuple[str, int]] = set()
        self._attempts: Counter[tuple[str, int]] = Counter()
        self._values: defaultdict[str, list[float]] = defaultdict(list)
        for trial in tried:
            self.cells.add(trial.cell)
            here = trial.fingerprint == fingerprint_of(trial.cell)
            if trial.status == "done":
                if not here:
                    self.elsewhere[trial.fingerprint] += 1
                if here or pool:
                    self._done.add((trial.cell, trial.repeat))
            if here:
                self._attempts[trial.cell, trial.repeat] += 1

    def done(self, cell: str, repeat: int) -> bool:
        """Whether this repeat is finished."""
        return (cell, repeat) in self._done

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
            self._done.add((trial.cell.id, trial.repeat))
            self.count(trial)

    def count(self, trial: Trial) -> None:
        """Add a finished trial's energy to :meth:`values`."""
        query = trial.phases["query"]
        bounded = within(query, "compute")
        if isinstance(bounded, Bounded):
            self._values[trial.cell.id].append(per_1000(bounded.energy_j, query.inferences or 1))
