"""What others took of many trials, as `results` tells it: a line a cell, or one for many cells."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from permille.energy import disturbance
from permille.records.energy import Disturbance
from permille.records.trial import Trial
from permille.store import Store
from tests.conftest import Permille
from tests.records import trial


def noisy(model: str, repeat: int, others: float, steal: float = 0.0) -> Trial:
    quiet = trial(36.0 + repeat, model=model, repeat=repeat, uid=f"{model}-{repeat}")
    disturbed = max(others, steal) > disturbance.DISTURBING
    taken = Disturbance(others=others, steal=steal, disturbed=disturbed)
    query = msgspec.structs.replace(quiet.phases["query"], disturbance=taken)
    phases = {"query": query}
    return msgspec.structs.replace(quiet, phases=phases, notes=tuple(disturbance.notes(phases)))


def stored(folder: Path, models: int) -> None:
    with Store(folder / "permille.db") as store:
        for model in range(models):
            for repeat, others in enumerate((0.01, 0.2, 0.4)):
                store.add(noisy(f"m{model}", repeat, others))


def test_a_cell_has_one_line_and_its_share(permille: Permille, tmp_path: Path) -> None:
    stored(tmp_path, 2)
    printed = permille("results").out
    for model in ("m0", "m1"):
        line = f"{model} on reviews: other processes disturbed 2 of 3 trials, with up to 40 %"
        assert printed.count(line) == 1
    assert printed.count("other processes") == 2
    for row in permille("results", "--json").json["rows"]:
        assert row["disturbed"] == pytest.approx(2 / 3)
        assert sum("other processes" in note for note in row["notes"]) == 1


def test_many_cells_have_one_line_together(permille: Permille, tmp_path: Path) -> None:
    stored(tmp_path, 7)
    printed = permille("results").out
    assert printed.count("other processes") == 1
    assert "other processes disturbed trials of 7 rows" in printed


@pytest.mark.parametrize("models", [1, 7])
def test_steal_alone_is_the_hypervisors(permille: Permille, tmp_path: Path, models: int) -> None:
    with Store(tmp_path / "permille.db") as store:
        for model in range(models):
            for repeat in range(2):
                store.add(noisy(f"m{model}", repeat, 0.0, steal=0.4))
    printed = permille("results").out
    assert printed.count("the hypervisor (steal) disturbed") == 1
    assert "other processes" not in printed
