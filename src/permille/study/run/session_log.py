"""The session and the block that each trial of a run belongs to, kept in the store as it goes."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from permille.analysis.sessions import continued, instant
from permille.records.machine import MachineSession, MachineState
from permille.records.recording import Domain
from permille.store import Store
from permille.study.run import machine_state


class Position(NamedTuple):
    """Where a trial belongs: a session's id, the number of a block within it, and the session's
    machine."""

    session: str
    block: int
    machine: str | None


class SessionLog:
    """Places the trials of one run. A session goes on over runs of permille, and over studies, as
    long as the machine is not rebooted and no pause is long (:data:`analysis.sessions.BREAK`)."""

    def __init__(
        self,
        store: Store,
        state: Callable[[], MachineState],
        ids: machine_state.Ids | None = None,
        temperature_c: Callable[[], float | None] = machine_state.temperature_c,
    ) -> None:
        self._store = store
        self._state = state
        self._temperature_c = temperature_c
        self._ids = ids or machine_state.ids()
        self._place: Position | None = None

    def begin(self) -> None:
        """Begin a session, however short the pause before it is."""
        # A session that would have begun by itself was not requested, and is as good as a rerun.
        going_on = self._continued(self._store.sessions()) is not None
        self._store.put_session(self._new(requested=going_on))

    def begin_block(self) -> None:
        """The next trial is the first of a new block."""
        self._place = None

    def place(self) -> Position:
        """Where a trial that starts now belongs. A block ends with its session: what is left of it
        after a long break is a block of its own.

        Raises:
            StoreError: the sessions are damaged, or cannot be written.
        """
        session = self._continued(self._store.sessions())
        if session is None:
            # Another run on this store may begin it at the same moment: it is looked for again.
            session = self._store.session_or(self._new(requested=False), self._continued)
        if self._place is None or self._place.session != session.id:
            # Counted in the store: another run (--shared) may begin a block of the same session at
            # the same time.
            number = self._store.change_session(session.id, _one_block_more).blocks - 1
            self._place = Position(session.id, number, session.machine)
        return self._place

    def ended(self, place: Position) -> None:
        """A trial there has ended."""
        now, degrees = _now(), self._temperature_c()
        self._store.change_session(
            place.session,
            lambda known: msgspec.structs.replace(
                known,
                # The clock may have been set back, and another run (--shared) may have ended a
                # trial later.
                ended=max(known.ended, now.isoformat(timespec="milliseconds")),
                end_temperature_c=degrees,
            ),
        )

    def rest_left(self, pause: datetime.timedelta) -> datetime.timedelta:
        """How much of a pause is left since the last trial on this boot of this machine."""
        ended = [
            moment
            for session in self._store.sessions()
            if (session.machine, session.boot) == self._ids
            and (moment := instant(session.ended)) is not None
        ]
        now = _now()
        # A trial that ended in the future was dated by a clock that has been set back since.
        return max(ended) + pause - now if ended and max(ended) <= now else datetime.timedelta()

    def _continued(self, known: list[MachineSession]) -> MachineSession | None:
        return continued(known, *self._ids, now=_now())

    def _new(self, *, requested: bool) -> MachineSession:
        now = _now()
        return MachineSession(
            id=uuid.uuid4().hex[:16],
            machine=self._ids.machine,
            boot=self._ids.boot,
            started=now.isoformat(timespec="seconds"),
            # Finer, because the trial before a requested session ends in the same second.
            ended=now.isoformat(timespec="milliseconds"),
            state=self._state(),
            requested=requested,
        )


def state_of(domains: tuple[Domain, ...], alone: int | None = None) -> MachineState:
    """This machine now, with its GPUs where the recorder reads them through NVML, or with the one
    that is measured ``alone``, by its index."""
    if not any(domain.meter == "nvml" for domain in domains):
        return machine_state.describe_state()
    from permille.meters.nvml_state import gpu_states

    driver, gpus = gpu_states(alone)
    return machine_state.describe_state(gpu_driver=driver, gpus=gpus)


def _one_block_more(session: MachineSession) -> MachineSession:
    return msgspec.structs.replace(session, blocks=session.blocks + 1)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
