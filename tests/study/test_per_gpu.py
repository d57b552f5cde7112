"""Two GPUs of one machine, each with a trial at a time: their figures, and what they are not
compared with."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from permille.analysis.boundaries import Bounded, within
from permille.cli import make_parser
from permille.cli.commands import run
from permille.cli.engines import as_run, run_options
from permille.cli.planning import planned
from permille.records.energy import Refused
from permille.records.trial import PER_GPU
from permille.store import Store
from permille.study.engines.driver import Driver
from permille.study.engines.node_process import NodeCommand
from permille.study.engines.protocol import StudyRun
from tests.conftest import Permille
from tests.faults.conftest import kept
from tests.nvml import FakeNvml
from tests.pipe_fleet import PipeFleet
from tests.ray_nodes import LIGHT, ray_nodes
from tests.study.test_nodes import Heard

GPUS = {"node/1": "0", "node/2": "1"}
POWER_W = {"GPU-aa": 100.0, "GPU-bb": 140.0}
SCRIPT = (
    "count=2",
    *(f"gpu{i}.uuid={uuid}" for i, uuid in enumerate(POWER_W)),
    *(f"gpu{i}.power_mw={1e3 * watts:.0f}" for i, watts in enumerate(POWER_W.values())),
    *(f"gpu{i}.{what}" for i in range(2) for what in ("tick_ms=3", "pids_rc=3")),
)
WATCHES = """

def watches(text):
    assert os.environ["CUDA_VISIBLE_DEVICES"] in ("GPU-aa", "GPU-bb")
    return quick(text)
"""
WORDS = ("--engine", "ray", "--per", "gpu")


def _machine_of_two_gpus(
    study: Callable[..., Path], environment: dict[str, str], folder: Path, repeats: int = 2
) -> Path:
    path = study("watches", "slow", repeats=repeats)
    models = path.with_name("models.py")
    models.write_text(models.read_text() + WATCHES)
    fake = FakeNvml(folder)
    fake.script(*SCRIPT)
    environment.update(fake.environment, PERMILLE_CACHE=str(folder / "cache"))
    return path


@pytest.mark.measuring
def test_each_gpu_has_a_trial_of_its_own_whose_figure_is_the_gpus_alone(
    study: Callable[..., Path], permille: Permille, environment: dict[str, str], tmp_path: Path
) -> None:
    path = _machine_of_two_gpus(study, environment, tmp_path)
    words = [str(path), *WORDS]
    args = make_parser("run", run).parse(words, argparse.Namespace(command=[], words=words))
    plan = as_run(planned(args, fetch=True), args)
    fleet = PipeFleet(
        NodeCommand(words, str(tmp_path), "key"), dict.fromkeys(GPUS, environment), GPUS
    )
    heard = Heard()
    with Store(tmp_path / "permille.db") as store:
        try:
            # Both are ready before the first measures: each has its own lock.
            study_run = StudyRun(plan, store, run_options(args), heard)
            tally = Driver(study_run, fleet).run().tally
        finally:
            fleet.close()
        trials = list(store.trials())
        sessions = {session.id: session for session in store.sessions()}
    assert (tally.done, tally.complete) == (4, True)
    assert set(heard.machines) == set(GPUS)
    assert not any("kinds" in note for note in heard.notes)
    assert len({trial.environment.fingerprint for trial in trials}) == 1
    assert len({trial.machine for trial in trials}) == 2
    powers = set()
    for trial in trials:
        query = trial.phases["query"]
        assert trial.protocol.name == PER_GPU
        assert list(query.domains) == ["gpu:0"]
        spent = within(query, "accelerator")
        assert isinstance(spent, Bounded)
        power_w = spent.energy_j / query.seconds
        nearest_w = 100.0 if power_w < 120 else 140.0
        # Two rectangular edges: their half-widths add up to √6 standard uncertainties at most.
        assert abs(spent.energy_j - nearest_w * query.seconds) <= 6**0.5 * spent.edge_j
        powers.add(nearest_w)
        for boundary in ("compute", "node"):
            refused = within(query, boundary)
            assert isinstance(refused, Refused)
            assert "the host's energy is not one GPU's" in refused.reason
        assert any("beside trials on the machine's other GPUs" in note for note in trial.notes)
        assert trial.session is not None
        assert [gpu.name for gpu in sessions[trial.session].state.gpus] == ["gpu:0"]
    assert powers == set(POWER_W.values())

    # On the whole machine, everything is still to be measured, and the two are never one figure.
    environment.update(PERMILLE_METERS="nvml,estimate", CUDA_VISIBLE_DEVICES="GPU-aa")
    whole = permille("run", str(path), "--json-lines")
    assert len(whole.out.splitlines()) == 4
    for words in ([], ["--pool"]):
        rows = permille("results", "--boundary", "accelerator", "--json", *words).json["rows"]
        assert sorted(row["model"] for row in rows) == ["slow", "slow", "watches", "watches"]
        assert all(row["trials"]["done"] == 2 for row in rows)
    (cell,) = permille("compare", "slow", "watches", "--json").json["cells"]
    assert cell["a"]["trials"]["done"] == 2
    compute = permille("results", "--json").json["rows"]
    without = [row for row in compute if row["kwh_per_1000"]["value"] is None]
    assert sorted(row["model"] for row in without) == ["slow", "watches"]
    assert len(compute) == 4
    assert all("the host's energy is not one GPU's" in row["problem"] for row in without)


@pytest.mark.measuring
@pytest.mark.slow
@pytest.mark.campaign
def test_the_gpus_of_a_ray_node(
    study: Callable[..., Path], permille: Permille, environment: dict[str, str], tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'permille[ray]'")
    path = _machine_of_two_gpus(study, environment, tmp_path, repeats=1)
    with ray_nodes(tmp_path / "cache", environment, "a", gpus=2) as nodes:
        words = (*WORDS, "--address", nodes.address)
        shown = permille("run", str(path), *words, code=0, **LIGHT)
        more = ("--replicas-of-block", "2", "--json-lines")
        replicas = permille("run", str(path), *words, *more, code=0, **LIGHT)
    assert "boundary: accelerator" in shown.out
    assert len(replicas.out.splitlines()) == 2  # the first run made one of two
    trials = kept(tmp_path)
    assert {trial.protocol.name for trial in trials} == {PER_GPU}
    machines: dict[tuple[str, int], set[str | None]] = {}
    for trial in trials:
        machines.setdefault((trial.cell.id, trial.repeat), set()).add(trial.machine)
    assert {len(of_cell) for of_cell in machines.values()} == {2}
    assert len(set().union(*machines.values())) == 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--boundary", "compute"], "--boundary compute is of the whole machine"),
        (["--precision", "0.1"], "--precision is of the whole machine"),
        (["--quiet-machine"], "--quiet-machine is of the whole machine"),
    ],
)
def test_what_is_of_the_whole_machine_is_refused(
    permille: Permille, study: Callable[..., Path], words: list[str], reason: str
) -> None:
    path = str(study("quick"))
    refused = permille("run", path, *WORDS, *words, code=2)
    assert reason in refused.err
    assert len(refused.err.splitlines()) == 1
    alone = permille("run", path, "--per", "gpu", code=2)
    assert "--per is not an option of --engine local; it is one of ray" in alone.err
