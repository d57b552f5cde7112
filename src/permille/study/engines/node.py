"""A node's side of a run on many machines: make the blocks that are ordered, with a store of its
own, and send each trial as it finishes."""

from __future__ import annotations

import os
import platform
import queue
import signal
import threading
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from permille.errors import EngineError, StoreError
from permille.interrupts import Interrupts
from permille.meters.one_gpu import OneGpu
from permille.recorder.client import Recorder
from permille.recorder.lock import fake_node
from permille.records.trial import Trial
from permille.store import Store
from permille.store.cloud.body import Content, encode
from permille.study.engines.messages import (
    BlockEnded,
    BlockOrder,
    Dismissal,
    FromNode,
    HandOver,
    NodeHello,
    NodeStage,
    NodeTrial,
    ToNode,
    digest_of,
    packed,
    read_frame,
    to_node,
    write_frame,
)
from permille.study.engines.protocol import RunOptions
from permille.study.plan.grid import Plan
from permille.study.run.attempt import Turn
from permille.study.run.machine_state import ids, ids_of_gpu
from permille.study.run.making import TrialMaker
from permille.study.run.session_log import state_of
from permille.version import __version__

LOCK_WAIT_S = 60.0
"""A node of a run that was killed may still be ending its worker."""


def node_store(cache: Path, key: str, gpu: OneGpu | None = None) -> Path:
    """The file of a node's store, on this machine: of a cache that several machines share, each
    uses a file of its own, and each of the GPUs that are nodes. ``key`` stands for the store of the
    run and its study."""
    machine = fake_node() or platform.node()
    parts = (machine, key, *([gpu.uuid] if gpu else []))
    digest = blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()
    return cache / "nodes" / f"{digest}.db"


def serve(
    plan: Plan,
    options: RunOptions,
    path: Path,
    orders: BinaryIO,
    out: BinaryIO,
    gpu: OneGpu | None = None,
) -> None:
    """Make what is ordered, here or on one ``gpu`` alone, until the run dismisses this node: then
    its store is deleted, because every trial has arrived. If the run has died (``orders`` end), the
    store stays, and the worker is stopped at once.

    Raises:
        PermilleError: the machine cannot be measured, or a trial not be stored.
        Interrupted: the run has died, or this process is told to stop.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(
            f"cannot create {path.parent}: {error.strerror}; name another with PERMILLE_CACHE"
        ) from error
    recorder = Recorder(shared=options.shared, wait_s=LOCK_WAIT_S, gpu=gpu.uuid if gpu else None)
    with recorder, Interrupts(recorder.token), Store(path) as store:
        if options.require:
            recorder.require_measured()
        node = _Node(plan, options, store, recorder, out, gpu)
        node.greet()
        for order in _orders(orders):
            node.follow(order)
    # SQLite keeps its log and the log's index beside the file: https://www.sqlite.org/wal.html
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


class _Node:
    def __init__(
        self,
        plan: Plan,
        options: RunOptions,
        store: Store,
        recorder: Recorder,
        out: BinaryIO,
        gpu: OneGpu | None,
    ) -> None:
        self._gpu = gpu
        self._plan = plan
        self._store = store
        self._recorder = recorder
        self._out = out
        self._cells = {planned.cell.id: planned for planned in plan.cells}
        self._maker = TrialMaker(
            plan,
            store,
            recorder,
            self._turn,
            quiet=options.quiet,
            pass_env=options.pass_env,
            gpu=gpu,
        )

    def greet(self) -> None:
        self._send(
            NodeHello(
                version=__version__,
                environment=self._maker.environment,
                plan=digest_of(self._plan),
                state=state_of(self._recorder.domains, self._gpu.index if self._gpu else None),
                missing=self._recorder.missing,
                kept=tuple(self._store.all_uids()),
                machine=(ids_of_gpu(self._gpu.uuid) if self._gpu else ids()).machine,
            )
        )

    def follow(self, order: HandOver | BlockOrder) -> None:
        if isinstance(order, HandOver):
            for uid in order.uids:
                trial = self._store.trial(uid)
                if trial is not None:
                    self._send_trial(trial, None)
            self._send(BlockEnded())
            return
        try:
            self._maker.begin_block()
            for cell, round in order.cells:
                made = self._maker.make(self._cells[cell], order.repeat, round)
                # Before it is sent: its session goes with it, and is to know of its end.
                self._maker.ended(made)
                self._send_trial(made.trial, made.failure)
            reference = self._maker.end_block()
            if reference is not None:
                self._send_trial(reference, None)
        finally:
            # A server that stayed up would draw power and hold memory until this node is given
            # another block.
            self._maker.end()
        self._send(BlockEnded())

    def _send_trial(self, trial: Trial, failure: str | None) -> None:
        session = next((one for one in self._store.sessions() if one.id == trial.session), None)
        try:
            body = encode(Content(trial, self._store.raw(trial.uid), session))
        except ValueError as error:
            raise StoreError(f"trial {trial.uid} cannot be sent: {error}") from error
        # A longer text would be refused by the run as a malformed message.
        short = None if failure is None else failure[:2_000]
        self._send(NodeTrial(uid=trial.uid, body=body, failure=short))

    def _turn(self, turn: Turn) -> None:
        self._send(
            NodeStage(
                cell=turn.cell.cell.id,
                repeat=turn.repeat,
                stage=turn.stage[:2_000],
                expected_s=turn.expected_s,
            )
        )

    def _send(self, message: FromNode) -> None:
        try:
            write_frame(self._out, packed(message))
        except BrokenPipeError as error:
            raise EngineError("the run that this node works for has ended") from error


def _orders(stream: BinaryIO) -> Iterator[HandOver | BlockOrder]:
    """What is ordered, until the dismissal. Where the stream ends before it, this process is told
    to stop, wherever it is: nobody waits for the trial in flight."""
    inbox: queue.Queue[ToNode] = queue.Queue()
    threading.Thread(target=_listen, args=(stream, inbox), daemon=True).start()
    while not isinstance(order := inbox.get(), Dismissal):
        yield order


def _listen(stream: BinaryIO, inbox: queue.Queue[ToNode]) -> None:
    while True:
        try:
            body = read_frame(stream)
            order = None if body is None else to_node(body)
        except ValueError:
            order = None  # not a run of this version: it was refused when it said hello
        if order is None:
            # A signal: nothing else stops the main thread, which waits for its worker.
            os.kill(os.getpid(), signal.SIGTERM)
            return
        inbox.put(order)
        # The run closes the stream next, which must not be mistaken for its death.
        if isinstance(order, Dismissal):
            return
