"""The machines whose energy a run measures: this one, and those behind agents."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from permille.meters.one_gpu import OneGpu
from permille.recorder.client import Recorder
from permille.recorder.remote.recorder import RemoteRecorder
from permille.recorder.wire import Missing
from permille.records.machine import Environment
from permille.store import Store
from permille.study.plan.grid import Plan
from permille.study.run import machine_state
from permille.study.run.attempt import Bench
from permille.study.run.elsewhere import meter_of, meters_of
from permille.study.run.environment import describe
from permille.study.run.session_log import SessionLog, state_of
from permille.study.run.trial import least_query_s, pausing
from permille.study.worker.messages import Pausing

MakeBench = Callable[[Recorder | RemoteRecorder, Environment], Bench]


@dataclass(frozen=True)
class Station:
    """One machine: what its trials have in common, and its sessions. ``ready`` is called before
    each trial."""

    bench: Bench
    sessions: SessionLog
    least_query_s: float
    pausing: Pausing | None
    ready: Callable[[], None]


@dataclass(frozen=True)
class Recorders:
    """The running recorders of a run: ``here`` is None if no model is measured on this machine;
    ``agents`` are those of other machines, by address. ``token``: of the workers."""

    token: str
    here: Recorder | None
    agents: dict[str, RemoteRecorder]

    @property
    def missing(self) -> tuple[Missing, ...]:
        """The meters that cannot be used, those of other machines with the machine's address."""
        there = (
            msgspec.structs.replace(missing, meter=f"{missing.meter} at {url}")
            for url, agent in self.agents.items()
            for missing in agent.opened.missing
        )
        return (*(() if self.here is None else self.here.missing), *there)

    def require_measured(self) -> None:
        """Check that each machine has more than an estimate.

        Raises:
            MeterError: one does not.
        """
        if self.here is not None:
            self.here.require_measured()
        for agent in self.agents.values():
            agent.require_measured()


@contextlib.contextmanager
def recorders(plan: Plan, *, shared: bool) -> Iterator[Recorders]:
    """The recorders that a plan needs, while the context lasts.

    Raises:
        RecorderError: a machine is in use by another run, or an agent cannot be reached.
        MeterError: a machine has no meter.
    """
    with contextlib.ExitStack() as stack:
        here = None
        if any(meter_of(planned) is None for planned in plan.cells):
            here = stack.enter_context(Recorder(shared=shared))
        # A recorder makes its own; without one here, what workers leave is still found by a token.
        token = os.urandom(16).hex() if here is None else here.token
        agents = {}
        for url in meters_of(plan.cells):
            agents[url] = RemoteRecorder(url, token)
            # At once, so that this agent is free again for others if the next cannot be reached.
            stack.callback(agents[url].stop)
        yield Recorders(token, here, agents)


def station_here(recorder: Recorder, store: Store, bench: MakeBench, gpu: OneGpu | None) -> Station:
    """This machine, or the one ``gpu`` of it that the recorder measures."""
    domains = recorder.domains
    # Beside one GPU, the host's domains have no figure, and no edge to wait for.
    metered = [domain for domain in domains if gpu is None or domain.kind == "gpu"]
    return Station(
        bench=bench(recorder, describe(domains, per_gpu=gpu is not None)),
        sessions=SessionLog(
            store,
            lambda: state_of(domains, None if gpu is None else gpu.index),
            None if gpu is None else machine_state.ids_of_gpu(gpu.uuid),
        ),
        least_query_s=least_query_s(metered),
        pausing=pausing(domains),
        ready=lambda: None,
    )


def station_there(agent: RemoteRecorder, store: Store, bench: MakeBench) -> Station:
    """The machine behind an agent: its trials are of its environment and its sessions."""
    opened = agent.opened
    return Station(
        bench=bench(agent, opened.environment),
        sessions=SessionLog(
            store,
            lambda: agent.opened.state,
            ids=machine_state.Ids(opened.machine, opened.boot),
            # What can be read here is the temperature of another machine.
            temperature_c=lambda: None,
        ),
        least_query_s=least_query_s(opened.domains, agent.edge_s()),
        pausing=pausing(opened.domains),
        ready=agent.reconnect,
    )
