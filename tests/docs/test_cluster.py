"""The page's commands: those that need no cluster run, the others are understood."""

from __future__ import annotations

import argparse
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from permille import cli
from permille.cli.engines import engine_of
from permille.study.engines.ray_slots import chosen, gpu_slots
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
def test_the_shards_and_the_replicas_are_merged_as_the_page_says(
    permille: Permille, powercap: Driver, study: Callable[..., Path], tmp_path: Path
) -> None:
    path = study("quick", repeats=1)
    rows = (tmp_path / "rows.jsonl").read_text()
    (tmp_path / "more.jsonl").write_text(rows)
    more = 'datasets = [{ path = "more.jsonl", text = "text", label = "label" }, '
    path.write_text(path.read_text().replace("datasets = [", more))
    permille("run", str(path), "--json-lines")  # what the engines' commands would have measured
    for words in commands(PAGE):
        if not _on_a_cluster(words):
            permille(*words)
    for store, trials in (("all.db", 1), ("both.db", 2)):
        (first, second) = permille("results", "--store", store, "--json").json["rows"]
        assert first["trials"]["done"] == second["trials"]["done"] == trials


def test_the_options_of_engines_are_understood() -> None:
    run = [words[1:] for words in commands(PAGE) if _on_a_cluster(words)]
    assert run
    for words in run:
        parser = cli.parser_of("run")
        args = parser.parse_args(words, argparse.Namespace(command=[], words=words))
        assert engine_of(args)


FIELDS = {
    "job": {
        "activeDeadlineSeconds", "backoffLimit", "entrypoint", "entrypointNumCpus",
        "rayClusterSpec", "runtimeEnvYAML", "shutdownAfterJobFinishes", "submissionMode",
        "ttlSecondsAfterFinished",
    },
    "cluster": {"headGroupSpec", "workerGroupSpecs", "rayVersion"},
    "head": {"rayStartParams", "template", "serviceType"},
    "workers": {
        "groupName", "replicas", "minReplicas", "maxReplicas", "numOfHosts", "rayStartParams",
        "template",
    },
}  # fmt: skip
"""Fields of KubeRay's ray.io/v1 that a manifest of a study may have (its API reference). The
operator's schema drops others in silence."""


def _manifest() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load((DOCS / "kuberay.yaml").read_text(encoding="utf-8"))
    assert isinstance(job, dict)
    return job


def test_the_manifest_has_the_fields_that_the_operator_reads() -> None:
    job = _manifest()
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    assert job["spec"].keys() <= FIELDS["job"]
    assert cluster.keys() <= FIELDS["cluster"]
    assert cluster["headGroupSpec"].keys() <= FIELDS["head"]
    assert workers.keys() <= FIELDS["workers"]
    assert workers["minReplicas"] == workers["replicas"] == workers["maxReplicas"]
    for group in (cluster["headGroupSpec"], workers):
        # The operator passes them to `ray start` as they are: they must be strings.
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_manifests_pods_have_what_the_engine_asks_of_a_node() -> None:
    cluster = _manifest()["spec"]["rayClusterSpec"]
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    (of_head,) = head["template"]["spec"]["containers"]
    (of_workers,) = workers["template"]["spec"]["containers"]
    # Ray's nodes as the operator starts them: CPUs and GPUs from the limits, unless given.
    limits = of_workers["resources"]["limits"]
    listed = [
        {"NodeID": "0", "NodeManagerHostname": "head", "Alive": True,
         "Resources": {"CPU": float(head["rayStartParams"]["num-cpus"])}},
        {"NodeID": "1", "NodeManagerHostname": "node", "Alive": True,
         "Resources": {"CPU": float(limits["cpu"]), "GPU": float(limits["nvidia.com/gpu"])}},
    ]  # fmt: skip
    nodes = chosen(listed, None)
    assert list(nodes) == ["node"]
    assert len(gpu_slots(nodes)) == int(limits["nvidia.com/gpu"])
    assert of_head["image"] == of_workers["image"]
    target = of_workers["image"].rpartition(":")[2]
    assert f" AS {target}\n" in (ROOT / "Containerfile").read_text(encoding="utf-8")
    mounts = {mount["mountPath"] for mount in of_workers["volumeMounts"]}
    (cache,) = (one["value"] for one in of_workers["env"] if one["name"] == "PERMILLE_CACHE")
    assert {cache, "/etc/machine-id"} <= mounts


def test_the_manifest_measures_on_whole_machines_and_its_command_is_understood() -> None:
    job = _manifest()
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
