"""Recordings of a machine whose workload's processes are unknown. Pure."""

from __future__ import annotations

import msgspec

from permille.records.recording import Recording


def all_in_use(recording: Recording) -> Recording:
    """The recording with every device in use: which of them the workload uses is unknown."""
    series = tuple(
        msgspec.structs.replace(each, domain=msgspec.structs.replace(each.domain, in_use=True))
        for each in recording.series
    )
    return msgspec.structs.replace(recording, series=series)
