"""The protocol between a run and the agent of another machine: msgpack over HTTP(S), one request
and one answer at a time.

Every message has the protocol's version, which is read before anything else. Every answer has the
times of the agent's clock at which the request arrived and the answer was ready, so that each
exchange aligns the clocks. Requests contain no paths, and nothing in them is executed.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from permille.recorder.wire import Missing
from permille.records import Record
from permille.records.machine import Environment, MachineState
from permille.records.recording import Domain, Recording

PROTOCOL = 1
"""To be raised with every change of a message's meaning."""
PATH = "/recorder"
CONTENT_TYPE = "application/msgpack"
MAX_REQUEST_BYTES = 1_024
MAX_ANSWER_BYTES = 64 << 20
"""The size of a recording of hours; a larger one is refused by both sides."""
# A run sends at least one request a second (remote.recorder.PROBE_S).
LEASE_S = 30.0
"""Without a request for this long, the agent ends a run's lease."""
TOKEN = "PERMILLE_AGENT_TOKEN"
"""The variable with the agent's bearer token, for the agent and for the run."""
AUTHORITY = "PERMILLE_AGENT_CA"
"""The variable with the file of certificates that the run trusts, in place of the system's."""


class Versioned(Record):
    """The part of every message that stays the same in every version."""

    protocol: int


class AgentRequest(Record, forbid_unknown_fields=True):
    """A request of a run. ``open`` requests the recorder, and gets a ``lease`` that all further
    requests have; ``clock`` only exchanges times; the others are those of the recorder."""

    protocol: int
    op: Literal["open", "clock", "begin", "mark", "take", "close"]
    lease: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Opened(Record, tag=True):
    """The recorder is the run's: what it can measure, and the machine. ``machine`` and ``boot`` are
    digests, as in ``MachineSession``."""

    lease: str
    domains: tuple[Domain, ...]
    missing: tuple[Missing, ...]
    interval_s: float
    environment: Environment
    state: MachineState
    machine: str | None
    boot: str | None


class Done(Record, tag=True):
    """The request was carried out."""


class Taken(Record, tag=True):
    """The recording, on the agent's clock."""

    recording: Recording


class Refusal(Record, tag=True):
    """The request was not carried out; the lease is void."""

    reason: str


class AgentAnswer(Record):
    """An answer. ``arrived_ns`` and ``answered_ns``: CLOCK_MONOTONIC of the agent's machine."""

    protocol: int
    lease: str
    arrived_ns: int
    answered_ns: int
    body: Opened | Done | Taken | Refusal
