"""A domain that exists but cannot be read: it has no figure, and no sum may omit it."""

from __future__ import annotations

import time
from typing import NamedTuple

from permille.meters import Reading
from permille.records.recording import Domain, DomainKind, Provenance


class Unread(NamedTuple):
    """Such a domain, with the reason and the remedy.

    It is listed with the readable domains, because otherwise their sum would be taken for the sum
    of all.
    """

    domain: Domain
    reason: str

    def reading(self) -> Reading:
        """A reading with the reason."""
        return Reading(self.domain.name, time.monotonic_ns(), error=self.reason)


def unread(meter: str, name: str, kind: DomainKind, reason: str) -> Unread:
    """The domain ``name`` of ``meter``, without a figure."""
    domain = Domain(
        name=name,
        kind=kind,
        meter=meter,
        provenance=Provenance.MEASURED,
        # Irrelevant: no figure is ever made of this domain.
        accuracy_low=0.0,
        accuracy_high=0.0,
        accuracy_source="cannot be read",
    )
    return Unread(domain, reason)
