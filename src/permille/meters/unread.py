"""A domain that is there and cannot be read: it has no figure, and no sum may do without it."""

from __future__ import annotations

import time
from typing import NamedTuple

from permille.meters import Reading
from permille.records import Domain, DomainKind, Provenance


class Unread(NamedTuple):
    """Such a domain, and why it cannot be read with how to mend that.

    It is listed beside the domains that can be read: left out, the sum of the others would pass
    for all of them.
    """

    domain: Domain
    reason: str

    def reading(self) -> Reading:
        """The reason, now."""
        return Reading(self.domain.name, time.monotonic_ns(), error=self.reason)


def unread(meter: str, name: str, kind: DomainKind, reason: str) -> Unread:
    """The domain ``name`` of ``meter``, of which no figure will come."""
    domain = Domain(
        name=name,
        kind=kind,
        meter=meter,
        provenance=Provenance.MEASURED,
        accuracy_low=0.0,
        accuracy_high=0.0,
        accuracy_source="cannot be read",
    )
    return Unread(domain, reason)
