"""Make trials, one at a time, and store each before the next begins."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from permille.meters.one_gpu import OneGpu
from permille.processes import end_marked
from permille.recorder.client import Recorder
from permille.recorder.remote.recorder import RemoteRecorder
from permille.records.machine import Environment
from permille.records.trial import Trial
from permille.store import REFERENCE_SOURCE, Store
from permille.study.plan.cells import PlannedCell
from permille.study.plan.grid import Plan
from permille.study.run import reference
from permille.study.run.attempt import Assigned, Attempt, Bench, Turn
from permille.study.run.elsewhere import meter_of
from permille.study.run.reference import reference_cell
from permille.study.run.schedule import stopping_of
from permille.study.run.servers import SharedServers
from permille.study.run.session_log import Position, SessionLog
from permille.study.run.stations import Station, station_here, station_there
from permille.study.run.trial import keep, least_query_s
from permille.study.worker import containment

BESIDE_OTHERS = (
    "measured on one GPU, beside trials on the machine's other GPUs (--per gpu): the host's energy"
    " is unknown, and the others shared its processors and cooling, and on some boards a power cap"
)


@dataclass(frozen=True)
class Made:
    """A trial that is stored, and where. ``failure``: why the cell's next attempt would also fail,
    or None."""

    trial: Trial
    position: Position
    failure: str | None
    sessions: SessionLog


class TrialMaker:
    """Makes the trials of a plan, and keeps them in a store: what every engine does on every
    machine. ``recorder``: of this machine, or None if only ``agents`` (by address) measure.
    ``gpu``: the one that the recorder measures, if it does not measure the whole machine.
    ``watch`` is called at each stage of a trial."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        recorder: Recorder | None,
        watch: Callable[[Turn], None],
        *,
        agents: Mapping[str, RemoteRecorder] | None = None,
        quiet: bool = False,
        pass_env: Sequence[str] = (),
        gpu: OneGpu | None = None,
    ) -> None:
        self._plan = plan
        self._store = store
        worker_environment = containment.environment(os.environ, pass_env)
        # All recorders must have one token: by it, the processes that workers left are found.
        (self._token,) = {one.token for one in (recorder, *(agents or {}).values()) if one}
        self._servers = SharedServers(worker_environment, self._token, plan.settings.memory_gib)

        def bench(recorder: Recorder | RemoteRecorder, environment: Environment) -> Bench:
            return Bench(
                plan=plan,
                recorder=recorder,
                environment=environment,
                worker_environment=worker_environment,
                stopping=stopping_of(plan.settings),
                quiet=quiet,
                watch=watch,
                servers=self._servers,
                notes=() if gpu is None else (BESIDE_OTHERS,),
            )

        self._stations: dict[str | None, Station] = {}
        if recorder is not None:
            # First: a run that measures anything here has this machine's environment.
            self._stations[None] = station_here(recorder, store, bench, gpu)
        for url, agent in (agents or {}).items():
            self._stations[url] = station_there(agent, store, bench)
        # The reference uses no device: the slow counters of those need not be waited for.
        self._least_reference_s = least_query_s(
            domain
            for domain in (recorder.domains if recorder is not None else ())
            if domain.kind in ("cpu", "dram")
        )
        self._since_reference_s = 0.0

    @property
    def environment(self) -> Environment:
        """Of this machine or, if it measures nothing, of the first agent's."""
        return next(iter(self._stations.values())).bench.environment

    def fingerprints(self, plan: Plan) -> dict[str, str]:
        """The fingerprints of the machines behind agents, by the plan's cells that they measure."""
        return {
            planned.cell.id: self._station(planned).bench.environment.fingerprint
            for planned in plan.cells
            if meter_of(planned) is not None
        }

    def begin_session(self) -> None:
        """Begin a session on every machine, however short the pause before it is."""
        for station in self._stations.values():
            station.sessions.begin()

    def rest_left(self, pause: datetime.timedelta) -> datetime.timedelta:
        """How much of a pause is left since the last trial on each of the machines."""
        return max(station.sessions.rest_left(pause) for station in self._stations.values())

    def begin_block(self) -> None:
        """The next trial is the first of a new block."""
        for station in self._stations.values():
            station.sessions.begin_block()

    def make(self, planned: PlannedCell, repeat: int, round: int) -> Made:
        """Make one trial and store it, whatever became of it; :meth:`ended` is for the caller to
        call, once it has told whoever waits for the trial.

        Raises:
            StoreError: it could not be stored.
            RecorderError: the machine behind an agent cannot be measured any more.
        """
        station = self._station(planned)
        station.ready()
        began_s = time.monotonic()
        assigned = Assigned(
            planned=planned,
            protocol=self._plan.protocol_of(planned),
            repeat=repeat,
            round=round,
            position=station.sessions.place(),
            least_query_s=station.least_query_s,
            pausing=station.pausing,
        )
        attempt = Attempt(station.bench, assigned)
        trial = keep(self._store, *attempt.make())
        # The reference tells how this machine drifts: work of another one brings it no nearer.
        if meter_of(planned) is None:
            self._since_reference_s += time.monotonic() - began_s
        failure = attempt.failure if attempt.same_again else None
        return Made(trial, assigned.position, failure, station.sessions)

    def ended(self, made: Made) -> None:
        """Note in its session that a trial has ended.

        Raises:
            StoreError: it could not be stored.
        """
        made.sessions.ended(made.position)

    def end_block(self) -> Trial | None:
        """Measure the reference workload if it is due, as a trial of the block that has just ended;
        that trial, or None. It is due by the trials of this machine alone.

        Raises:
            StoreError: it could not be stored.
        """
        station = self._stations.get(None)
        due = self._since_reference_s >= reference.EVERY_S
        if station is None or not self._plan.settings.reference or not due:
            return None
        position = station.sessions.place()
        assigned = Assigned(
            planned=reference_cell(),
            protocol=reference.PROTOCOL,
            # By its block, because a session has at most one reference in each.
            repeat=position.block,
            round=0,
            position=position,
            least_query_s=self._least_reference_s,
            beside_server=True,  # or a sweep's server would be started after each reference
        )
        trial, raw = Attempt(station.bench, assigned).make()
        # The study's stopping rule does not apply to references.
        trial = msgspec.structs.replace(trial, source=REFERENCE_SOURCE, stopping=None)
        kept = keep(self._store, trial, raw)
        self._since_reference_s = 0.0
        station.sessions.ended(position)
        return kept

    def end(self) -> None:
        """Stop the server that trials share, and kill what workers may have left."""
        self._servers.stop()
        end_marked(self._token)

    def _station(self, planned: PlannedCell) -> Station:
        return self._stations[meter_of(planned)]
