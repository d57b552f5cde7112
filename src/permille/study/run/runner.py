"""The runner: make a plan's trials on this machine, and store each before the next begins."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence

from permille.recorder.client import Recorder
from permille.recorder.remote.recorder import RemoteRecorder
from permille.records.machine import Environment
from permille.records.trial import Trial
from permille.store import Store
from permille.store.rows import protocol_key
from permille.study.plan.cells import PlannedCell
from permille.study.plan.grid import Plan
from permille.study.run.attempt import Turn
from permille.study.run.blocks import Block
from permille.study.run.making import TrialMaker
from permille.study.run.schedule import NotRun, Schedule, most_repeats
from permille.study.run.tally import RunTally
from permille.study.run.trial_locks import Claims

Watch = Callable[[str, "Turn | Trial | NotRun"], None]


class Runner:
    """Runs a plan against one store, with this machine's recorder and those behind ``agents``."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        recorder: Recorder | None,
        watch: Watch = lambda kind, event: None,
        *,
        agents: Mapping[str, RemoteRecorder] | None = None,
        pool: bool = False,
        quiet: bool = False,
        pass_env: Sequence[str] = (),
        tally: RunTally | None = None,
    ) -> None:
        self._plan = plan
        self._store = store
        self._pool = pool
        self.watch = watch
        self.tally = tally or RunTally()
        self._maker = TrialMaker(
            plan,
            store,
            recorder,
            lambda turn: self.watch("turn", turn),
            agents=agents,
            quiet=quiet,
            pass_env=pass_env,
        )
        self.environment: Environment = self._maker.environment
        self.schedule = self._schedule()

    def _schedule(self) -> Schedule:
        return Schedule(
            self._plan,
            self._store,
            self.environment,
            self.tally,
            pool=self._pool,
            fingerprints=self._maker.fingerprints(self._plan),
            skipped=lambda not_run: self.watch("not-run", not_run),
        )

    def take_up(self, plan: Plan) -> None:
        """Go on with other cells of the same study, with the server that is up."""
        self._plan = plan
        self.schedule = self._schedule()

    def rest_left(self, pause: datetime.timedelta) -> datetime.timedelta:
        """How much of a pause is left since the last trial on this boot of this machine."""
        return self._maker.rest_left(pause)

    def run(self, repeats: range | None = None, *, new_session: bool = False) -> RunTally:
        """Every trial that is not finished, block by block, those of ``repeats`` alone if given.
        ``new_session``: in a session that begins now, however short the pause before it is."""
        if repeats is None:
            repeats = range(most_repeats(self._plan.settings))
        try:
            if new_session:
                self._maker.begin_session()
            self.measure(repeats)
        finally:
            self.end()
        return self.tally

    def measure(self, repeats: range) -> None:
        """Like :meth:`run`; a server that trials share stays up until :meth:`end`."""
        with Claims(self._store.path) as claims:
            passed_over = [
                block
                for block in self.schedule.blocks(repeats)
                if not self._run_block(block, claims, wait=False)
            ]
            # Another run makes these; should it die, they are ours.
            for block in passed_over:
                self._run_block(block, claims, wait=True)

    def end(self) -> None:
        """Stop what trials have left: the server that they shared, and their processes."""
        self._maker.end()

    def _run_block(self, block: Block, claims: Claims, *, wait: bool) -> bool:
        """Make the trials of one block; False if another run makes them just now."""
        protocol = protocol_key(self._plan.protocol)
        # No name has a null character, so different parts never make the same text.
        # With the protocol: a run with another number of inferences makes other trials of the
        # block, and need not be waited for.
        parts = (self._plan.name, block.task, block.dataset, protocol, str(block.repeat))
        with claims.on("\0".join(parts), wait=wait) as ours:
            if not ours:
                return False
            self._maker.begin_block()
            for planned in block.cells:
                self._make(planned, block.repeat)
            reference = self._maker.end_block()
            if reference is not None:
                self.tally.add_cost(reference)
        return True

    def _make(self, planned: PlannedCell, repeat: int) -> None:
        """Make one trial and keep it, if it is still due."""
        # The block may have waited for another run, which has made some of its trials.
        self.schedule.catch_up()
        if not self.schedule.is_open(planned, repeat):
            self.tally.elsewhere += 1
        elif not self.schedule.precise(planned):
            made = self._maker.make(planned, repeat, self.schedule.round_of(planned.cell.id))
            self.schedule.note(made.trial, made.failure)
            self.tally.add(made.trial)
            self.watch("trial", made.trial)
            self._maker.ended(made)
