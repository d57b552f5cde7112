"""docs/watch.md: its commands and its mapping file, and what it says about servers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from permille import cli
from permille.cli.arguments import address
from permille.watch.exporter import WatchCounters
from permille.watch.kinds import kinds
from permille.watch.scrape import checked_url
from tests.conftest import Permille
from tests.docs.pages import DOCS, commands, write_files
from tests.powercap import Driver
from tests.watch.metrics_server import serving
from tests.watch.test_otlp import Collector
from tests.watch.test_otlp import collector as collector  # a fixture

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


REPORT = [words for words in commands("watch.md") if "--report" in words]


@pytest.mark.measuring
def test_a_watch_that_is_kept_and_sent_is_reported(
    permille: Permille, powercap: Driver, collector: Collector, tmp_path: Path
) -> None:
    with serving() as page:
        page.text = 'vllm:generation_tokens_total{model_name="m"} 10\n'
        words = ["--metrics", page.url, "--every", "1s", "--for", "2s", "--json-lines"]
        options = ["--store", "watch.db", "--otlp", collector.url]
        finished = permille("watch", *words, *options)
    printed = [json.loads(line) for line in finished.out.splitlines()]
    (report,) = REPORT
    shown = permille(*report).out
    assert printed[-1]["watch"] in shown
    assert f"{len(printed)} window" in shown
    again = permille(*report, "--json-lines").out.splitlines()
    for line, of_store in zip(printed, map(json.loads, again), strict=True):
        assert of_store["energy_j"] == line["energy_j"]
        assert of_store["total"]["tokens"] == line["total"]["tokens"]
    joules = [v for (name, *_), v in collector.points().items() if name == "hw.energy"]
    assert sum(joules) == pytest.approx(sum(line["energy_j"]["value"] for line in printed))


@pytest.mark.parametrize("words", [w for w in commands("watch.md") if w not in REPORT])
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


def test_the_grafana_dashboard_asks_for_metrics_that_exist() -> None:
    dashboard = json.loads((DOCS / "watch" / "grafana.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    served = {f"{family.name}_total" for family in WatchCounters("compute").collect()}
    for expression in asked:
        names = set(re.findall(r"permille_\w+", expression))
        assert names
        assert names <= served
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="apt-get install prometheus")
def test_prometheus_can_parse_the_queries(tmp_path: Path) -> None:
    dashboard = (DOCS / "watch" / "grafana.json").read_text(encoding="utf-8")
    panels = json.loads(re.sub(r"\$__\w+", "1m", dashboard))["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    queries += re.findall(r"```promql\n(.*?)\n```", PAGE)
    rules = [{"record": f"q{number}", "expr": query} for number, query in enumerate(queries)]
    path = tmp_path / "rules.json"  # JSON is YAML
    path.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    checked = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert f"{len(queries)} rules found" in checked.stdout


def test_the_manifest_runs_a_command_that_exists() -> None:
    yaml = pytest.importorskip("yaml")
    manifest = yaml.safe_load((DOCS / "watch" / "daemonset.yaml").read_text(encoding="utf-8"))
    assert (manifest["apiVersion"], manifest["kind"]) == ("apps/v1", "DaemonSet")
    template = manifest["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert manifest["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (container,) = template["spec"]["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    command, *words = [word.replace("$(NODE_IP)", "10.0.0.1") for word in container["args"]]
    args = cli.parser_of(command).parse_args(words)
    assert checked_url(args.metrics).port == 8000
    host, port = address("--serve", args.serve)
    assert host == "10.0.0.1"
    assert [port] == [each["containerPort"] for each in container["ports"]]
    assert template["metadata"]["annotations"]["prometheus.io/port"] == str(port)
    # What is read lies in what is mounted, and what is mounted is a volume.
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert environment["PERMILLE_POWERCAP"].startswith(mounts["sys"]["mountPath"])
    assert mounts["sys"]["readOnly"]
    assert mounts.keys() == {volume["name"] for volume in template["spec"]["volumes"]}
