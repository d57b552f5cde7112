"""The page's commands: those that need no cluster run, the others are understood."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from permille import cli
from permille.cli.engines import engine_of
from tests.conftest import Permille
from tests.docs.pages import commands
from tests.powercap import Driver
from tests.study.conftest import study

__all__ = ["study"]

PAGE = "cluster.md"


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
