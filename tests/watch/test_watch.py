"""The command beside a server: the energy of its machine with the server's own counts."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from permille import assets
from permille.records.energy import Estimate
from permille.watch.watcher import Watcher
from tests import quickstart_assets
from tests.backends.test_endpoint import free_port
from tests.cli.test_json_output import validate
from tests.conftest import POWER_W, Permille, holds
from tests.powercap import Driver
from tests.watch.metrics_server import MetricsPage, serving


@contextmanager
def watching(
    page_url: str, environment: dict[str, str], folder: Path, *args: str
) -> Iterator[subprocess.Popen[str]]:
    words = ["watch", "--metrics", page_url, "--every", "1s", "--json-lines", *args]
    process = subprocess.Popen(
        [sys.executable, "-m", "permille", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def next_line(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    text = process.stdout.readline()
    assert text, process.stderr and process.stderr.read()
    line = json.loads(text)
    validate("watch --json-lines", line)
    return line


def until(process: subprocess.Popen[str], holds: Callable[[Any], Any]) -> Any:
    """The first line for which something holds; the machine may be slow."""
    while not holds(line := next_line(process)):
        pass
    return line


def samples(port: int) -> dict[tuple[str, ...], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def is_of(energy: Any, joules: float) -> bool:
    """Whether a line's figure holds for what the known power used."""
    return holds(Estimate(value=energy["value"], low=energy["low"], high=energy["high"]), joules)


def vllm(page: MetricsPage, requests: int, tokens: int, running: int = 0) -> None:
    page.text = (
        f'vllm:request_success_total{{model_name="m",finished_reason="stop"}} {requests}\n'
        f'vllm:generation_tokens_total{{model_name="m"}} {tokens}\n'
        f'vllm:num_requests_running{{model_name="m"}} {running}\n'
    )


def test_after_a_late_line_the_next_is_not_so_soon_that_no_meter_can_resolve_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 0.0
    late_s = iter([0.9])
    looks_s: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds + next(late_s, 0.0)

    clock = SimpleNamespace(monotonic=lambda: now_s, sleep=sleep)
    monkeypatch.setattr("permille.watch.watcher.time", clock)
    monkeypatch.setattr(Watcher, "look", lambda self: looks_s.append(now_s))
    list(Watcher.__new__(Watcher).lines(every_s=1.0, for_s=5.0))
    assert looks_s == pytest.approx([1.9, 2.4, 3.4, 5.0])


@pytest.mark.measuring
def test_counts_failures_and_restarts(
    environment: dict[str, str], powercap: Driver, tmp_path: Path
) -> None:
    port = str(free_port())
    with serving() as page:
        vllm(page, 100, 1000)
        with watching(page.url, environment, tmp_path, "--serve", port) as process:
            idle = next_line(process)
            vllm(page, 102, 1060)
            busy = until(process, lambda line: line["requests"])
            page.status = 503
            failed = until(process, lambda line: line["requests"] is None)
            served = samples(int(port))
            vllm(page, 104, 1120)
            page.status = 200
            again = until(process, lambda line: line["requests"])
            vllm(page, 1, 10)
            restarted = until(process, lambda line: line["requests"] is None)
            process.terminate()
            err = process.communicate()[1]
    assert process.returncode == 0, err
    assert idle["idle"] is True
    assert is_of(idle["energy_j"], POWER_W * idle["seconds"])
    assert (busy["requests"], busy["tokens"]["output"]) == (2, 60)
    assert is_of(busy["j_per_token"], POWER_W * busy["seconds"] / 60)
    assert "answered 503" in failed["notes"][0]
    assert failed["wh_per_1000"] is None
    assert served["permille_energy_joules_total", "compute", "cpu:0", "measured"] > 0
    assert served["permille_tokens_total", "output", "m"] == 60
    assert again["tokens"]["output"] == 60
    assert again["counted_s"] > again["seconds"]
    assert "went back" in restarted["notes"][0]
    assert restarted["total"]["tokens"]["output"] == 120
    assert restarted["total"]["left_out_s"] >= restarted["seconds"]


def triton(page: MetricsPage, requests: int) -> None:
    page.text = "".join(
        f'nv_inference_request_success{{model="{model}"}} {requests}\n' for model in ("all", "step")
    )


@pytest.mark.measuring
def test_requests_that_may_be_counted_twice_are_labelled(
    environment: dict[str, str], powercap: Driver, tmp_path: Path
) -> None:
    with serving() as page:
        triton(page, 3)
        with watching(page.url, environment, tmp_path) as process:
            idle = next_line(process)
            triton(page, 4)
            line = until(process, lambda line: line["requests"])
    assert line["requests"] == 2
    assert not any("counted requests" in note for note in idle["notes"])
    assert "2 models counted requests" in line["notes"][0]


@pytest.mark.measuring
def test_a_server_that_comes_later_and_the_text_for_a_terminal(
    permille: Permille, powercap: Driver
) -> None:
    with serving() as page:
        page.text = 'vllm:num_requests_running{model_name="\\u001b[31m"} 1\n'
        url = page.url
    finished = permille("watch", "--metrics", url, "--every", "60s", "--for", "2s")
    assert "cannot be read yet: no answer" in finished.err
    first = finished.out.splitlines()[0]
    assert re.search(r"  \d+(\.\d+)? W  ", first)
    assert "– requests/s  – tokens/s  – per token" in first
    (left_out,) = re.findall(r"^(\d+) seconds left out", finished.out, re.MULTILINE)
    assert 2 <= int(left_out) < 60, "the last line ends with the watch"


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("--metrics", "localhost"), "is not an address"),
        (("--metrics", "http://h", "--every", "0.5s"), "at least 1s"),
        (("--metrics", "http://h", "--serve", "x"), "neither PORT"),
        (("--metrics", "http://h", "--pid", "999999999"), "no such process"),
        (("--metrics", "http://h", "--mapping", "absent.toml"), "cannot read --mapping"),
    ],
)
def test_a_wrong_command_is_one_line(
    permille: Permille, args: tuple[str, ...], reason: str
) -> None:
    finished = permille("watch", *args, code=2)
    assert reason in finished.err
    assert len(finished.err.splitlines()) == 1


@quickstart_assets.needed
@pytest.mark.slow
@pytest.mark.measuring
def test_llama_cpp_s_own_counters(
    environment: dict[str, str], powercap: Driver, tmp_path: Path
) -> None:
    port = free_port()
    model = assets.path("smollm2-135m") / "SmolLM2-135M-Instruct.Q4_1.gguf"
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.llama_server", str(model), str(port), "--metrics"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        server.stdout.readline()
        with watching(f"http://127.0.0.1:{port}", environment, tmp_path) as process:
            next_line(process)
            body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode()
            )
            with urllib.request.urlopen(request) as answer:
                usage = json.load(answer)["usage"]
            line = until(process, lambda line: line["total"]["tokens"]["output"])
    finally:
        server.kill()
        server.communicate()
    tokens = line["total"]["tokens"]["output"]
    assert tokens == usage["completion_tokens"]
    assert line["total"]["tokens"]["input"] == usage["prompt_tokens"]
    assert line["requests"] is None  # this server does not count them
    assert line["wh_per_1000"] is None
    assert is_of(line["total"]["j_per_token"], POWER_W * line["total"]["seconds"] / tokens)


PROMETHEUS = shutil.which("prometheus")


@pytest.mark.campaign
@pytest.mark.measuring
@pytest.mark.skipif(PROMETHEUS is None, reason="not installed: apt-get install prometheus")
def test_prometheus_own_query_gives_the_same_joules_per_token(
    environment: dict[str, str], powercap: Driver, tmp_path: Path
) -> None:
    port, its_own = free_port(), free_port()
    (tmp_path / "prometheus.yml").write_text(
        "scrape_configs:\n"
        "- job_name: permille\n"
        "  scrape_interval: 200ms\n"
        "  scrape_timeout: 200ms\n"
        f"  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
    )
    assert PROMETHEUS is not None
    prometheus = subprocess.Popen(
        [
            PROMETHEUS,
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{its_own}",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        with serving() as page:
            vllm(page, 0, 0)
            with watching(page.url, environment, tmp_path, "--serve", str(port)) as process:
                lines: list[Any] = []
                seen: set[float] = set()
                # Until it has taken in several of the lines: which ones is for the machine to say.
                while len(seen) < 5:
                    vllm(page, 2 * len(lines), 100 * len(lines) ** 2)
                    lines.append(next_line(process))
                    seen |= queried(its_own, J_PER_TOKEN)
                asked = datetime.datetime.now(datetime.UTC)
                while datetime.datetime.fromisoformat(lines[-1]["t"]) < asked:
                    lines.append(next_line(process))
    finally:
        prometheus.kill()
        prometheus.communicate()
    known = [line["total"]["j_per_token"] for line in lines]
    ours = [one["value"] for one in known if one is not None]
    for theirs in seen:
        assert any(theirs == pytest.approx(one) for one in ours)


J_PER_TOKEN = (
    "sum(permille_energy_joules_total) / (sum(permille_tokens_total{direction='output'}) > 0)"
)


def queried(port: int, query: str) -> set[float]:
    """The values of a query now; none while the server is not up."""
    words = urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{words}") as answer:
            return {float(one["value"][1]) for one in json.load(answer)["data"]["result"]}
    except urllib.error.URLError:
        return set()
