"""What a job of Slurm reads before it measures."""

from __future__ import annotations

import msgspec
import pytest

from permille.cli.share import _rounds
from permille.errors import EngineError


def test_the_rounds_come_as_the_store_has_them() -> None:
    starts = {("study", "cell", "protocol", "machine"): 2}
    assert _rounds(msgspec.json.encode(tuple(starts.items()))) == starts
    assert _rounds(b"[]") == {}


@pytest.mark.parametrize("text", [b"", b'[[["study"', b'[[["study"], "2"]]'])
def test_rounds_that_did_not_arrive_whole_are_refused(text: bytes) -> None:
    with pytest.raises(EngineError, match="before it had told"):
        _rounds(text)
