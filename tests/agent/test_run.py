"""Studies whose server's energy comes from an agent: both as processes of this machine, which has
a fake energy counter with a known trace."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from permille.records.trial import Trial
from permille.store import Raw, Store
from tests.agent.agents import TOKEN, AgentProcess, Certificates, make_certificates
from tests.backends.openai_server import Reply, Whole, chat, serving
from tests.backends.test_endpoint import free_port
from tests.conftest import Finished, Permille
from tests.powercap import Bursts, Driver, FakePowercap

pytestmark = pytest.mark.measuring

DAY_NS = 86_400 * 1_000_000_000

STUDY = """
[study]
name = "far"
inferences = 8
repeats = {repeats}
warmup = 0
idle_s = 0.2
{models}
[[tasks]]
task = "chat"
datasets = [{{ path = "q.jsonl", text = "q" }}]
"""
MODEL = """
[[models]]
id = "{id}"
backend = "endpoint"
category = "general-purpose"
url = "http://127.0.0.1:{port}/v1"
max_new_tokens = 4
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def trace(tmp_path: Path, environment: dict[str, str]) -> Any:
    """A package whose power changes twice a second, so that a wrong time is a wrong energy."""
    tree = FakePowercap(tmp_path / "powercap", dram=False, limit_w=100.0)
    environment["PERMILLE_POWERCAP"] = str(tree.root)
    environment["PERMILLE_METERS"] = "rapl"
    with tree.drive({"cpu:0": Bursts(20.0, 80.0, period_s=0.5, high_s=0.2)}) as driver:
        yield driver


class Bench:
    """A server, an agent and the runs of a study against both."""

    def __init__(
        self,
        permille: Permille,
        folder: Path,
        environment: dict[str, str],
        certificates: Certificates,
    ) -> None:
        self._permille, self._folder = permille, folder
        self._environment, self._certificates = environment, certificates
        self.variables = {
            "PERMILLE_AGENT_TOKEN": TOKEN,
            "PERMILLE_AGENT_CA": str(certificates.authority),
        }

    def agent(self, offset_ns: int | None = None) -> AgentProcess:
        return AgentProcess(
            self._folder,
            free_port(),
            self._environment,
            self._certificates,
            offset_ns=offset_ns,
        )

    def run(
        self,
        agent: AgentProcess,
        reply: Reply,
        *args: str,
        code: int = 0,
        repeats: int = 1,
        also_here: bool = False,
        times: int = 1,
    ) -> Finished:
        (self._folder / "q.jsonl").write_text('{"q": "one"}\n{"q": "two"}\n')
        with serving(reply) as server:
            there = MODEL.format(id="there", port=server.port) + f'meter = "{agent.url}"\n'
            here = MODEL.format(id="here", port=server.port) if also_here else ""
            text = STUDY.format(repeats=repeats, models=there + here)
            (self._folder / "study.toml").write_text(text)
            for _ in range(times):
                done = self._permille("run", "study.toml", *args, code=code, **self.variables)
            return done

    def trials(self) -> list[tuple[Trial, Raw | None]]:
        with Store(self._folder / "permille.db", readonly=True) as store:
            return [(trial, store.raw(trial.uid)) for trial in store.trials(study="far")]


@pytest.fixture
def bench(
    permille: Permille, environment: dict[str, str], certificates: Certificates, tmp_path: Path
) -> Bench:
    return Bench(permille, tmp_path, environment, certificates)


def answering(number: int, asked: dict[str, Any]) -> Whole:
    time.sleep(0.1)
    return chat()


def at_request(number: int, act: Callable[[], object]) -> Reply:
    def reply(this: int, asked: dict[str, Any]) -> Whole:
        if this == number:
            act()
        return answering(this, asked)

    return reply


def check_energy(trial: Trial, raw: Raw | None, driver: Driver) -> None:
    """The figure is the trace's, within the uncertainty that is stated."""
    assert raw is not None
    assert trial.status == "done", trial.reason
    (query,) = (span for span in raw.spans if span.name == "query")
    truth_j = driver.energy_j("cpu:0", query.t0_ns, query.t1_ns)
    figure = trial.phases["query"].domains["cpu:0"]
    assert abs(figure.energy_j - truth_j) <= 3 * figure.edge_j


def test_the_agent_gives_the_energy_that_a_recorder_here_gives(bench: Bench, trace: Driver) -> None:
    """Both are measured in turns, by the same study, and a second run finds nothing to do. The
    agent's clock is a day ahead."""
    with bench.agent(offset_ns=DAY_NS) as agent:
        bench.run(agent, answering, also_here=True, repeats=2, times=2)
    trials = bench.trials()
    assert sorted(trial.cell.model for trial, _ in trials) == ["here", "here", "there", "there"]
    for trial, raw in trials:
        check_energy(trial, raw, trace)
        assert raw is not None
        assert raw.recording is not None
        uncertain = [series.clock_s for series in raw.recording.series]
        assert (min(uncertain) > 0) == (trial.cell.model == "there")
        aligned = [note for note in trial.notes if "clocks are aligned" in note]
        assert len(aligned) == (trial.cell.model == "there")
        threads = trial.environment.facts.get("OMP_NUM_THREADS")
        assert threads == ("1" if trial.cell.model == "there" else None)
    assert len({trial.environment.fingerprint for trial, _ in trials}) == 2


def test_an_agent_serves_no_cluster(bench: Bench, trace: Driver) -> None:
    agent = bench.agent()
    done = bench.run(agent, answering, "--engine", "ray", code=2)
    assert "model 'there' has a meter, which serves one machine at a time" in done.err


def test_a_clock_that_jumps_during_a_trial_gives_no_figure(bench: Bench, trace: Driver) -> None:
    agent = bench.agent(offset_ns=0)
    with agent:
        bench.run(agent, at_request(3, agent.jump.touch), code=1)
    ((trial, _),) = bench.trials()
    assert trial.status == "invalid"
    assert "moved against each other" in str(trial.reason)
    assert "query" not in trial.phases


def test_an_agent_that_is_killed_voids_the_trial_and_ends_the_run(
    bench: Bench, trace: Driver
) -> None:
    agent = bench.agent()
    with agent:
        done = bench.run(agent, at_request(3, agent.kill), code=3, repeats=2)
    assert agent.url in done.err
    ((trial, _),) = bench.trials()
    assert trial.status == "invalid"
    assert f"the agent at {agent.url}: the connection was lost" in str(trial.reason)
    assert not trial.phases


@pytest.mark.campaign
def test_an_agent_that_was_restarted_voids_one_trial(bench: Bench, trace: Driver) -> None:
    agent = bench.agent()

    def restart() -> None:
        agent.kill()
        agent.start()

    with agent:
        bench.run(agent, at_request(3, restart), code=1, repeats=2)
    first, second = (trial for trial, _ in bench.trials())
    assert first.status == "invalid"
    assert "the connection was lost" in str(first.reason)
    assert second.status == "done"


def test_a_wrong_token_is_refused_before_anything_is_measured(
    bench: Bench, trace: Driver, permille: Permille
) -> None:
    with bench.agent() as agent:
        bench.variables["PERMILLE_AGENT_TOKEN"] = "another-token-of-the-tests"
        done = bench.run(agent, answering, code=3)
        assert "status 401: the token is missing or wrong" in done.err
        del bench.variables["PERMILLE_AGENT_CA"]
        done = bench.run(agent, answering, code=3)
        assert "name the file of its authority with PERMILLE_AGENT_CA" in done.err
    assert bench.trials() == []
