"""The remote recorder over a network that is slower in one direction, from a clock that is a day
ahead: what alignment by round trips gets wrong most, it must state as uncertainty."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from permille.energy import edges
from permille.energy.span_energy import span_energy
from permille.recorder.remote.recorder import RemoteRecorder
from permille.records.energy import DomainEnergy
from permille.records.recording import Span
from tests.agent.agents import TOKEN, AgentProcess, make_certificates
from tests.backends.test_endpoint import free_port
from tests.powercap import Bursts, FakePowercap

pytestmark = pytest.mark.measuring

DELAY_S = 0.02
DAY_NS = 86_400 * 1_000_000_000


@contextlib.contextmanager
def delayed(port: int, *, there_s: float, back_s: float) -> Iterator[int]:
    """A port that leads to another one, with a delay in each direction."""
    sockets: list[socket.socket] = []

    def copy(source: socket.socket, target: socket.socket, delay_s: float) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                time.sleep(delay_s)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near = listening.accept()[0]
                far = socket.create_connection(("127.0.0.1", port))
                sockets.extend((near, far))
                for ends in ((near, far, there_s), (far, near, back_s)):
                    threading.Thread(target=copy, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for one in sockets:
                one.close()


@pytest.mark.parametrize(("there_s", "back_s"), [(DELAY_S, 0.0), (0.0, DELAY_S)])
def test_energies_are_right_within_their_edges_over_a_lopsided_network(
    there_s: float, back_s: float, environment: dict[str, str], tmp_path: Path
) -> None:
    tree = FakePowercap(tmp_path / "powercap", dram=False, limit_w=100.0)
    environment |= {"PERMILLE_POWERCAP": str(tree.root), "PERMILLE_METERS": "rapl"}
    certificates = make_certificates(tmp_path)
    port = free_port()
    agent = AgentProcess(tmp_path, port, environment, certificates, offset_ns=DAY_NS)
    variables = {
        "PERMILLE_AGENT_TOKEN": TOKEN,
        "PERMILLE_AGENT_CA": str(certificates.authority),
    }
    with (
        tree.drive({"cpu:0": Bursts(10.0, 90.0, period_s=0.5, high_s=0.2)}) as driver,
        agent,
        delayed(port, there_s=there_s, back_s=back_s) as slow,
    ):
        recorder = RemoteRecorder(f"https://127.0.0.1:{slow}", "0" * 32, variables)
        assert recorder.edge_s() > edges.PEAK * DELAY_S
        recorder.begin()
        times = []
        for _ in range(8):
            times.append(recorder.mark())
            time.sleep(0.33)  # of no simple ratio to the trace's period
        recording = recorder.take()
        recorder.stop()
        truths = {
            (t0_ns, t1_ns): driver.energy_j("cpu:0", t0_ns, t1_ns)
            for t0_ns, t1_ns in [*pairwise(times), (times[0], times[-1])]
        }
    (series,) = recording.series
    assert series.clock_s >= DELAY_S / 2
    figures = 0
    for (t0_ns, t1_ns), truth_j in truths.items():
        span = Span(name="some", t0_ns=t0_ns, t1_ns=t1_ns)
        figure = span_energy(series, span, recording.events)
        if isinstance(figure, DomainEnergy):
            figures += 1
            # Two rectangular edges: their half-widths add up to at most √6 standard uncertainties.
            assert abs(figure.energy_j - truth_j) <= 6**0.5 * figure.edge_j
    assert figures
