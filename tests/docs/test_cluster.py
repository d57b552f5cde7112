"""The page's commands: those that need no cluster run, the others are understood."""

from __future__ import annotations

import argparse
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from permille import cli
from permille.cli.engines import engine_of
from tests.conftest import Permille
from tests.docs.pages import DOCS, commands
from tests.powercap import Driver
from tests.study.conftest import study

__all__ = ["study"]

PAGE = "cluster.md"
ROOT = DOCS.parent


def _on_a_cluster(words: list[str]) -> bool:
    return "--engine" in words


@pytest.mark.measuring
def test_the_shards_are_merged_as_the_page_says(
    permille: Permille, powercap: Driver, study: Callable[..., Path], tmp_path: Path
) -> None:
    path = study("quick", repeats=1)
    rows = (tmp_path / "rows.jsonl").read_text()
    (tmp_path / "more.jsonl").write_text(rows)
    more = 'datasets = [{ path = "more.jsonl", text = "text", label = "label" }, '
    path.write_text(path.read_text().replace("datasets = [", more))
    for words in commands(PAGE):
        if not _on_a_cluster(words):
            permille(*words)
    (first, second) = permille("results", "--store", "all.db", "--json").json["rows"]
    assert first["trials"]["done"] == second["trials"]["done"] == 1


def test_the_options_of_engines_are_understood() -> None:
    run = [words[1:] for words in commands(PAGE) if _on_a_cluster(words)]
    assert run
    for words in run:
        parser = cli.parser_of("run")
        args = parser.parse_args(words, argparse.Namespace(command=[], words=words))
        assert engine_of(args)


def test_the_manifest_measures_on_whole_machines_and_its_command_is_understood() -> None:
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load((DOCS / "kuberay.yaml").read_text(encoding="utf-8"))
    cluster = job["spec"]["rayClusterSpec"]
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[:2] == ["permille", "run"]
    args = cli.parser_of("run").parse_args(words[2:], argparse.Namespace(command=[], words=words))
    assert engine_of(args)
    (nodes,) = cluster["workerGroupSpecs"]
    assert args.machines == nodes["replicas"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert f"ray=={cluster['rayVersion']}\n" in (ROOT / "constraints.txt").read_text()
    (term,) = nodes["template"]["spec"]["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    labels = nodes["template"]["metadata"]["labels"]
    assert term["labelSelector"]["matchLabels"] == labels
    (container,) = nodes["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == container["resources"]["requests"]


def test_what_the_containerfile_installs_and_copies_is_there() -> None:
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = re.findall(r"^ARG EXTRAS=(\S+)|/src\[([\w,]+)\]", text, re.MULTILINE)
    named = {name for pair in wanted for part in pair for name in part.split(",") if name}
    assert {"ray", "torch", "quickstart"} <= named
    assert named <= project["optional-dependencies"].keys()
    targets = set(re.findall(r" AS (\w+)$", text, re.MULTILINE))
    page = (DOCS / PAGE).read_text(encoding="utf-8")
    assert set(re.findall(r"--target (\w+)", text + page)) == targets
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for needed in ("src", "scripts", "docs", "pyproject.toml", "constraints.txt", "README.md"):
        assert needed not in kept
