"""permille: the energy and carbon of 1,000 inferences of a model, with their uncertainty.

with permille.record() as rec:
    with rec.span("query", inferences=1000):
        ...
print(rec["query"].kwh_per_1000)
"""

from __future__ import annotations

from permille.version import __version__

TYPE_CHECKING = False  # like typing's, whose import would take longer than everything else here
if TYPE_CHECKING:
    # `as`: without it, a type checker does not take a name for exported (mypy, implicit_reexport).
    from permille.analysis.comparison import Comparison as Comparison
    from permille.analysis.spans import Result as Result
    from permille.api.decorator import MeasuredFunction as MeasuredFunction
    from permille.api.decorator import measured as measured
    from permille.api.session import Session as Session
    from permille.api.session import record as record
    from permille.errors import PermilleError as PermilleError
    from permille.notebook.stores import compare as compare
    from permille.notebook.stores import results as results
    from permille.notebook.stores import trials as trials
    from permille.records.energy import Estimate as Estimate
    from permille.records.recording import Provenance as Provenance


_HOMES = {
    "Comparison": "permille.analysis.comparison",
    "Estimate": "permille.records.energy",
    "MeasuredFunction": "permille.api.decorator",
    "PermilleError": "permille.errors",
    "Provenance": "permille.records.recording",
    "Result": "permille.analysis.spans",
    "Session": "permille.api.session",
    "compare": "permille.notebook.stores",
    "measured": "permille.api.decorator",
    "record": "permille.api.session",
    "results": "permille.notebook.stores",
    "trials": "permille.notebook.stores",
}
"""The public names and their modules, which are imported on first access, so that ``import
permille`` takes a millisecond."""

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'permille' has no attribute {name!r}")
    import importlib

    value: object = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def load_ipython_extension(shell: object) -> None:
    """What ``%load_ext permille`` calls: registers the cell magic ``%%energy``."""
    from permille.notebook.magic import register

    register(shell)


def __dir__() -> list[str]:
    return sorted(__all__)
