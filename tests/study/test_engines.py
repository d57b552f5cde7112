"""The choice of an engine on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from permille import plugins
from tests.conftest import Permille


def test_every_engine_that_ships_can_be_loaded_without_its_library() -> None:
    for name in plugins.names("engines"):
        engine = plugins.load("engines", name)
        assert callable(engine.check)
        assert callable(engine.run)


def test_an_engine_that_is_not_there_is_named_with_one_that_is(
    permille: Permille, study: Callable[..., Path]
) -> None:
    refused = permille("run", str(study("quick")), "--engine", "locla", code=2)
    assert "no engine 'locla'; did you mean 'local'?" in refused.err


def test_an_address_of_ray_client_is_refused_wherever_it_is_named_before_ray_is_imported(
    permille: Permille, study: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "ray.py").write_text("raise ImportError\n")
    words, client = ("run", str(study("quick")), "--engine", "ray"), "ray://127.0.0.1:10001"
    for refused in (
        permille(*words, "--address", client, code=2),
        permille(*words, code=2, RAY_ADDRESS=client, PYTHONPATH=str(tmp_path)),
    ):
        assert f"{client} is a Ray Client address" in refused.err
        assert len(refused.err.splitlines()) == 1


def test_replicas_that_an_engine_or_a_study_cannot_have_are_refused(
    permille: Permille, study: Callable[..., Path]
) -> None:
    path = str(study("quick"))
    for words, reason in [
        ((), "--replicas-of-block is not an option of --engine local; it is one of ray"),
        (("--engine", "slurm"), "Slurm alone chooses the nodes of jobs"),
        (("--engine", "ray", "--machines", "2"), "needs 3 machines, and --machines is 2"),
        (("--engine", "ray", "--precision", "0.1"), "add --repeats N"),
    ]:  # fmt: skip
        refused = permille("run", path, "--replicas-of-block", "3", *words, code=2)
        assert reason in refused.err
        assert len(refused.err.splitlines()) == 1
    assert (
        "'1' is not a number of machines"
        in permille("run", path, "--engine", "ray", "--replicas-of-block", "1", code=2).err
    )


def test_a_dry_run_counts_each_replica(permille: Permille, study: Callable[..., Path]) -> None:
    words = ("--engine", "ray", "--replicas-of-block", "3", "--dry-run")
    path = str(study("quick", "slow"))
    assert permille("run", path, *words, "--json").json["trials"] == 12
    assert "2 repeats, each on 3 machines" in permille("run", path, *words).out
