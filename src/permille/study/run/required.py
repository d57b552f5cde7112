"""``--require measured``: stop at the first trial whose energy is not entirely measured. Pure."""

from __future__ import annotations

from permille.analysis.boundaries import within
from permille.errors import MeterError
from permille.records.energy import Boundary, Refused
from permille.records.recording import Provenance
from permille.records.trial import Trial


def require_measured(trial: Trial, boundary: Boundary) -> None:
    """Check that the energy of a finished trial is entirely measured.

    Raises:
        MeterError: it is not; the trial is kept.
    """
    query = trial.phases.get("query")
    # A failed trial has no figure that could pass for a measured one.
    if query is None or trial.status != "done":
        return
    spent = within(query, boundary)
    # A refused figure cannot pass for one either: the results give the reason in its place.
    if isinstance(spent, Refused) or spent.provenance is Provenance.MEASURED:
        return
    weak = [n for n, d in query.domains.items() if d.provenance is not Provenance.MEASURED]
    raise MeterError(
        f"the energy within {boundary} is {spent.provenance} ({', '.join(weak)}), and a"
        " measurement is required; see: permille meters"
    )
