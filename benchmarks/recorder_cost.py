"""What permille's recorder takes of one core while it polls ten times a second."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

from accuracy import CONSTANT
from fake_machine import FakeMachine

from permille.recorder.client import Recorder


def measure(quick: bool, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Share of a core by meter, beside the seconds of CPU time that starting takes."""
    return [_of(meter, 5.0 if quick else 20.0, say) for meter in ("rapl", "estimate")]


def _of(meter: str, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    say(f"recorder: {meter}")
    with FakeMachine(CONSTANT) as machine, tempfile.TemporaryDirectory() as folder:
        settings = {"PERMILLE_METERS": meter, "PERMILLE_POWERCAP": str(machine.root)}
        with (
            mock.patch.dict(os.environ, settings),
            # The recorder's lock lies there: one of its own, whoever else measures.
            mock.patch.object(tempfile, "tempdir", folder),
            Recorder() as recorder,
        ):
            recorder.begin()
            recorder.watch(os.getpid())
            time.sleep(seconds)
            stats = recorder.take().stats
    return {
        "meter": meter,
        "interval_s": stats.interval_s,
        "seconds": stats.wall_s,
        "polls": stats.polls,
        "missed": stats.missed,
        "share_of_a_core": stats.cpu_s / stats.wall_s,
    }
