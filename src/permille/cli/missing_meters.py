"""Which of the meters that could not be used deserve a line at the end of a measurement."""

from __future__ import annotations

import os
from collections.abc import Iterable

from permille.meters.selection import VARIABLE
from permille.recorder.wire import Missing


def notable(missing: Iterable[Missing]) -> list[Missing]:
    """Those whose hardware is here, and those that the user named. ``permille meters`` has all: on
    most machines, three lines about hardware that nobody has would hide the one that matters."""
    # A user who names a meter expects to hear of it, even if its hardware is not found.
    named = bool(os.environ.get(VARIABLE))
    return [meter for meter in missing if meter.present or named]
