"""Studies by permille's own command line, for gpu_check.py: their trials and the GPUs' energy."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def study(arguments: Sequence[str], limit_s: float) -> dict[str, Any]:
    """``permille run`` with these arguments, in a store of its own: see :func:`summary`. ``reason``
    says why it was not finished; what was finished before is there."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "permille", "run", *arguments, "--json-lines",
            "--store", str(Path(folder, "check.db")),
        ]  # fmt: skip
        began = time.monotonic()
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=limit_s, check=False
            )
        except subprocess.TimeoutExpired as late:
            # Bytes, in spite of text=True
            # (https://docs.python.org/3/library/subprocess.html#subprocess.TimeoutExpired.output).
            lines = (late.stdout or b"").decode().splitlines()
            reason: str | None = f"stopped after {limit_s:g} s"
        else:
            lines = done.stdout.splitlines()
            words = done.stderr.strip().splitlines()
            reason = words[-1] if done.returncode and words else None
        return summary(lines) | {"reason": reason, "seconds": time.monotonic() - began}


def summary(lines: Iterable[str]) -> dict[str, Any]:
    """Of the lines of ``--json-lines``: trials by status, cells with a finished trial, and for each
    model the mean joules of each GPU per 1,000 inferences. Pure."""
    trials = [one for line in lines if "trial" in (one := json.loads(line))]
    done = [one for one in trials if one["status"] == "done"]
    joules: dict[str, dict[str, list[float]]] = {}
    for one in done:
        for name, domain in one["domains"].items():
            if name.startswith("gpu"):
                each = joules.setdefault(one["model"], {}).setdefault(name, [])
                each.append(1000 * domain["energy_j"] / one["inferences"])
    return {
        "trials": dict(Counter(one["status"] for one in trials)),
        "cells": len({(one["task"], one["dataset"], one["model"]) for one in done}),
        "gpu_j_per_1000": {
            model: {name: sum(each) / len(each) for name, each in of_gpu.items()}
            for model, of_gpu in joules.items()
        },
        "reasons": sorted({one["reason"] for one in trials if one["reason"]}),
    }
