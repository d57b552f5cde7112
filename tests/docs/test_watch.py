"""docs/watch.md: its commands and its mapping file, and what it says about servers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from permille.watch.exporter import WatchCounters
from permille.watch.kinds import kinds
from tests.conftest import Permille
from tests.docs.pages import DOCS, commands, write_files
from tests.powercap import Driver
from tests.watch.metrics_server import serving

PAGE = (DOCS / "watch.md").read_text(encoding="utf-8")


@pytest.mark.measuring
def test_the_mapping_file_and_a_series(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    assert write_files("watch.md", tmp_path) == ["server.toml"]
    with serving() as page:
        page.text = 'http_answers_total{code="200"} 5\nrequests_in_work 0\n'
        words = ["watch", "--metrics", page.url, "--mapping", "server.toml", "--json-lines"]
        line = permille(*words, "--every", "1s", "--for", "1s").json
    assert (line["requests"], line["idle"]) == (0, True)


@pytest.mark.parametrize("words", commands("watch.md"))
def test_the_commands_reach_for_the_server(permille: Permille, words: list[str]) -> None:
    """Without a meter they end before they watch, and not because of a wrong option."""
    shown = [word for word in words if word not in (">", "watch.jsonl")]
    finished = permille(*shown, code=3, PERMILLE_METERS="rapl", PERMILLE_POWERCAP="/nowhere")
    assert "no meter here" in finished.err


def test_the_table_of_servers() -> None:
    table = PAGE.partition("## Servers")[2].partition("A figure per request")[0]
    rows = [re.split(r"\s*\|\s*", row.strip("| ")) for row in table.strip().splitlines()[2:]]
    assert len(rows) == len(kinds())
    for row, kind in zip(rows, kinds().values(), strict=True):
        assert row[2].startswith("yes" if kind.requests else "no")
        assert row[3] == ("yes" if kind.output_tokens else "no")
        assert row[4] == (kind.counted if kind.output_tokens else "–")


def test_every_metric_is_listed() -> None:
    listed = set(re.findall(r"^\| `(permille_\w+)_total`", PAGE, re.MULTILINE))
    assert listed == {family.name for family in WatchCounters("compute").collect()}
