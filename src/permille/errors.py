"""Every error that permille raises on purpose.

    PermilleError                  exit code
    ├── UsageError                 2   the command line is wrong
    ├── StudyError                 2   the study file is wrong
    ├── DatasetError               2   the dataset cannot be used
    ├── ModelError                 2   the model cannot be used
    │   ├── InferenceError         2   one inference failed
    │   └── OverloadError          2   a server cannot keep up with its requests
    ├── AssetError                 2   a quick-start asset is absent or damaged
    ├── ImportDataError            2   a file to import cannot be read
    ├── StoreError                 2   the store cannot be read or written
    │   └── UnkeepableError        2   a trial contains data that could not be read back
    ├── CarbonError                2   no such region, year or source
    ├── CompareError               2   the requested comparison is impossible
    ├── EngineError                2   an engine or its nodes cannot be used
    ├── MeterError                 3   a meter that is needed is missing
    ├── RecorderError              3   the recorder died, or another holds the machine
    └── TrialError                 1   one trial failed; the study continues

Every message is one line: what is wrong, where, and how to fix it.
"""

from __future__ import annotations

from typing import Literal


class PermilleError(Exception):
    """The root. ``exit_code`` is the exit code of the command line."""

    exit_code = 2


class UsageError(PermilleError):
    """The command line is wrong."""


class StudyError(PermilleError):
    """The study file is wrong."""


class DatasetError(PermilleError):
    """The dataset cannot be used."""


class ModelError(PermilleError):
    """The model cannot be used."""


class InferenceError(ModelError):
    """One inference failed; a study may allow some failures (``max_failures``)."""


class OverloadError(ModelError):
    """A server cannot keep up with the arrivals of its requests."""


class AssetError(PermilleError):
    """A downloadable asset is absent or damaged."""


class ImportDataError(PermilleError):
    """A file to import cannot be read."""


class StoreError(PermilleError):
    """The store cannot be read or written."""


class UnkeepableError(StoreError):
    """A trial contains data that could not be read back, such as a number that is not finite;
    nothing of it was written. ``reason`` describes the data."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class CarbonError(PermilleError):
    """No such region, year or source of grid intensity."""


class CompareError(PermilleError):
    """The requested comparison is impossible."""


class EngineError(PermilleError):
    """An engine cannot be used: no cluster, or nodes that would not measure the same."""


class MeterError(PermilleError):
    """A required meter is missing."""

    exit_code = 3


class RecorderError(PermilleError):
    """The recorder died, or another run holds the machine's lock."""

    exit_code = 3


class TrialError(PermilleError):
    """One trial failed; it is stored as failed and the study continues. ``lines`` are the last
    lines that its worker printed; ``by_signal``: it was killed, which need not happen again;
    ``kind``: what failed."""

    exit_code = 1

    def __init__(
        self,
        message: str,
        lines: tuple[str, ...] = (),
        *,
        by_signal: bool = False,
        kind: Literal["overload", "other"] = "other",
    ) -> None:
        super().__init__(message)
        self.lines = lines
        self.kind = kind
        self.by_signal = by_signal
