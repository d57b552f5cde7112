"""What of a study nobody has finished: failed, given up, left out, or not there at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from permille.records.machine import Environment
from permille.records.trial import Status
from permille.store import Store
from permille.study.engines.protocol import RunOptions, StudyRun
from permille.study.engines.remainder import NotMade, missing, not_made
from permille.study.plan import file
from permille.study.plan.grid import make
from tests.records import trial
from tests.study.test_nodes import Heard

# The tries of five repeats of one cell: d is done, i invalid, f has failed, F has failed on another
# machine.
TRIES = {
    "": NotMade(0, 0, 0, 0, 5),
    "d,d,d,d,d": NotMade(0, 0, 0, 0, 0),
    "d,,,,d": NotMade(0, 0, 0, 0, 3),
    "d,f,,,d": NotMade(0, 1, 0, 2, 0),
    "fff,ff,f,,fd": NotMade(1, 2, 0, 1, 0),
    "fFf,ffFff,d,d,d": NotMade(1, 1, 0, 0, 0),
    "i,fi,if,iii,": NotMade(1, 1, 2, 1, 0),
}
STATUS: dict[str, Status] = {"d": "done", "i": "invalid"}


@pytest.mark.parametrize(("tries", "left"), TRIES.items())
def test_each_repeat_is_of_one_kind(
    study: Callable[..., Path], tmp_path: Path, tries: str, left: NotMade
) -> None:
    plan = make(file.read(study("quick", repeats=5)))
    (planned,) = plan.cells
    with Store(tmp_path / "s.db") as store:
        for repeat, of_repeat in enumerate(tries.split(",")):
            for number, one in enumerate(of_repeat):
                store.add(
                    msgspec.structs.replace(
                        trial(repeat=repeat, uid=f"{repeat}-{number}"),
                        study=plan.name,
                        cell=planned.cell,
                        protocol=plan.protocol_of(planned),
                        status=STATUS.get(one, "failed"),
                        environment=Environment(fingerprint="b" if one == "F" else "a"),
                    )
                )
        run = StudyRun(plan, store, RunOptions(), Heard())
        assert not_made(run, plan, range(5), ()) == left
        assert missing(run, range(5)) == {planned.cell.id: sum(left)}
        every = {(planned.cell.id, repeat) for repeat in range(5)}
        assert not_made(run, plan, range(5), every) == NotMade(0, 0, 0, 0, 0)
