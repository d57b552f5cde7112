"""permille beside its peers, all in one run: ``make bench``, or

    python benchmarks/run.py [--quick] [PART …]

Parts: accuracy, overhead, recorder, start. Writes results/peers.json and docs/benchmarks.md.
Takes about twenty minutes, ``--quick`` about five, on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for tests.powercap, the fake machine

RESULTS = ROOT / "benchmarks" / "results" / "peers.json"
FLEET = ROOT / "benchmarks" / "results" / "fleet.json"
LARGE_STORE = FLEET.with_name("large_store.json")
GPU_TRACES = RESULTS.with_name("gpu_traces.json")
PARTS = ("accuracy", "overhead", "recorder", "start")


def main() -> int:
    # Here, and not above: fake_machine imports tests, which is on sys.path only now.
    import environments
    import fake_machine
    import report

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats and windows")
    parser.add_argument("parts", nargs="*", metavar="PART")
    args = parser.parse_args()
    cannot = fake_machine.can_mount()
    if cannot:
        print(f"not run: {cannot}")
        return 1
    for peer in environments.PEERS:
        say(f"environment: {peer}")
        environments.build(peer)
    found = json.loads(RESULTS.read_text()) if args.parts and RESULTS.exists() else {}
    began = time.monotonic()
    for part in args.parts or PARTS:
        load = os.getloadavg()[0]
        found[part] = {"load_before": load, "quick": args.quick, "found": measure(part, args.quick)}
        found[part]["load_after"] = os.getloadavg()[0]
    found |= {
        "schema": 1,
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": round(time.monotonic() - began),
        "versions": {peer: environments.version(peer) for peer in environments.PEERS},
        "machine": machine(),
    }
    RESULTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    more = (json.loads(path.read_text()) for path in (GPU_TRACES, FLEET, LARGE_STORE))
    page = report.markdown(found, *more)
    (ROOT / "docs" / "benchmarks.md").write_text(page)
    say(f"written: {RESULTS.relative_to(ROOT)}, docs/benchmarks.md")
    return 0


def measure(part: str, quick: bool) -> Any:
    """One part."""
    import accuracy
    import overhead
    import recorder_cost
    import starting

    modules: dict[str, Any] = {
        "accuracy": accuracy,
        "overhead": overhead,
        "recorder": recorder_cost,
        "start": starting,
    }
    return modules[part].measure(quick, say)


def machine() -> dict[str, str]:
    """What it ran on."""
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cpus": str(os.cpu_count()),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def say(text: str) -> None:
    """To people, on stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
