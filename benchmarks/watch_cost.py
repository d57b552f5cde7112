"""What ``permille watch`` takes of one core, its recorder included.

The server's metrics are as long as vLLM's. Run: ``PYTHONPATH=. python benchmarks/watch_cost.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from accuracy import CONSTANT
from fake_machine import FakeMachine

HISTOGRAMS = 30
BUCKETS = 40
"""About what one vLLM server publishes: 150 kB with its help texts."""


def page() -> bytes:
    """Counters, and the histograms beside them."""
    lines = [
        'vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 100',
        'vllm:prompt_tokens_total{engine="0",model_name="m"} 1000',
        'vllm:generation_tokens_total{engine="0",model_name="m"} 1000',
        'vllm:num_requests_running{engine="0",model_name="m"} 1',
    ]
    for number in range(HISTOGRAMS):
        name = f"vllm:histogram_{number}_seconds"
        lines += [f"# HELP {name} {'A histogram. ' * 8}", f"# TYPE {name} histogram"]
        lines += [
            f'{name}_bucket{{engine="0",le="{edge}.0",model_name="some/model-of-8B"}} {edge}.0'
            for edge in range(BUCKETS)
        ]
    return "\n".join(lines).encode() + b"\n"


class Metrics(BaseHTTPRequestHandler):
    """Serves the page, and takes what is sent to a collector."""

    body = page()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def measure(meter: str, seconds: int, every_s: int, *, outlets: bool) -> dict[str, Any]:
    """The share of a core over a watch, without the seconds of CPU time that starting takes.
    ``outlets``: with a store and a collector."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with FakeMachine(CONSTANT) as machine, tempfile.TemporaryDirectory() as folder:
        settings = {
            "PERMILLE_METERS": meter,
            "PERMILLE_POWERCAP": str(machine.root),
            # The recorder's lock lies there: one of its own, whoever else measures.
            "TMPDIR": folder,
        }
        url = f"http://127.0.0.1:{server.server_port}"
        words = ["watch", "--metrics", url, "--every", f"{every_s}s", "--for", f"{seconds}s"]
        if outlets:
            words += ["--store", f"{folder}/watch.db", "--otlp", url]
        finished = subprocess.run(
            [sys.executable, "-m", "permille", *words, "--json-lines"],
            env=os.environ | settings,
            capture_output=True,
            text=True,
            check=True,
        )
    server.shutdown()
    lines = [json.loads(line) for line in finished.stdout.splitlines()]
    used_s = sum(line["own_cpu"] * line["seconds"] for line in lines)
    return {
        "meter": meter,
        "every_s": every_s,
        "outlets": outlets,
        "page_kb": len(Metrics.body) // 1000,
        "share_of_a_core": used_s / sum(line["seconds"] for line in lines),
    }


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    for meter in ("rapl", "estimate"):
        for every_s in (1, 10):
            for outlets in (False, True):
                figures = measure(meter, seconds, every_s, outlets=outlets)
                print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
