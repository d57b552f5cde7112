"""When ``permille gate`` looks at its rounds, and how sure each look has to be.

Without ``--rounds`` there are two looks: a large difference is told after the least number of
rounds, and a small one after as many as a short command has time for, since runs of short commands
differ most. Time alone says how many that are. With ``--until-told`` there are as many looks as it
takes, and with ``--rounds`` one.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence

from permille.analysis.gate import FIRST_OF_TWO, SECOND_OF_TWO, confidence_of
from permille.analysis.student import CONFIDENCE
from permille.measure.command import Run
from permille.records import Record

DEFAULT_ROUNDS = 12
"""Finds an increase of 10 % beyond 5 % in over nine of ten gates where runs differ by 3 %."""
DEFAULT_S = 20.0
"""What the shortest command takes in all, without ``--rounds``: finds the same where runs of 0.3 s
differ by 7 %, as they do on a virtual machine (docs/gate.md)."""
MOST_ROUNDS = 200
"""Without ``--rounds``, of commands so short that the recorder takes longer than they do."""


class Batch(Record):
    """Rounds before the next look: at least ``least``, then until each command has taken
    ``seconds``, at most ``most``."""

    least: int
    most: int
    seconds: float = 0.0


def batches(args: argparse.Namespace, found: Sequence[Sequence[Run]]) -> Iterator[Batch]:
    """The rounds before each look. ``found`` has the runs of each command so far."""
    total = args.rounds or DEFAULT_ROUNDS
    yield Batch(least=total, most=total)
    # The caller has added the runs of the first batch to found by now.
    if args.rounds is None and not args.until_told and _time_left_s(found) > 0:
        yield Batch(least=2, most=MOST_ROUNDS - total, seconds=_time_left_s(found))
    # Each look costs some of the confidence (confidence_of): doubling keeps the looks few.
    while args.until_told:
        yield Batch(least=total, most=total)
        total *= 2


def confidence(args: argparse.Namespace, look: int, found: Sequence[Sequence[Run]]) -> float:
    """The confidence of the interval that this look (from 1) judges by."""
    if args.until_told:
        return confidence_of(look)
    if look == 2:
        return SECOND_OF_TWO
    if args.rounds is None and _time_left_s(found) > 0:
        return FIRST_OF_TWO
    return CONFIDENCE


def _time_left_s(found: Sequence[Sequence[Run]]) -> float:
    """Of :data:`DEFAULT_S`, for the command that took least."""
    return DEFAULT_S - min(math.fsum(run.phase.seconds for run in runs) for runs in found)
