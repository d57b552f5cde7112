"""Which domains count: the four boundaries, as a pure function of a phase."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from permille.records import Boundary, DomainEnergy, Phase, Problem, Provenance, Record, Refused

SIGNIFICANT = 0.05
"""Domains of one provenance or a weaker one give a sum theirs from this share of its energy on."""


METERED_ONLY = "the sum of what is metered: there is no meter of the whole node"


class Bounded(Record):
    """Energy of a phase within a boundary.

    ``edge_j`` is the standard uncertainty of the edges (k = 1, joules); ``low_j`` and
    ``high_j`` how far the truth may lie below and above by the meters' accuracy (k = 2, joules).
    """

    energy_j: float
    edge_j: float
    low_j: float
    high_j: float
    provenance: Provenance
    domains: tuple[str, ...]
    note: str = ""


def within(phase: Phase, boundary: Boundary) -> Bounded | Refused:
    """The energy of ``phase`` within ``boundary``, or the reason that it cannot be told.

    ``facility`` is the node's energy: the PUE is applied where the question is asked. A domain
    that belongs inside but could not be determined makes the whole sum undetermined: a meter
    that failed must never look like free energy.
    """
    members: dict[str, DomainEnergy | Problem] = {**phase.domains, **phase.problems}
    if not members:
        return Refused(reason="nothing was metered")
    note = ""
    if boundary in ("node", "facility"):
        chosen, note = _node(members)
    else:
        chosen = _devices(members, boundary)
    if not chosen:
        return Refused(reason=f"no meter of the {boundary} boundary's domains; try --boundary node")
    counted: dict[str, DomainEnergy] = {}
    for name in chosen:
        member = members[name]
        if isinstance(member, Problem):
            return Refused(reason=f"{name}: {member.reason}")
        counted[name] = member
    return _sum(counted, note)


def unusable(phase: Phase) -> str | None:
    """Why neither ``compute`` nor ``node`` can be told of a phase; None if one of them can."""
    compute, node = within(phase, "compute"), within(phase, "node")
    if isinstance(compute, Refused) and isinstance(node, Refused):
        return compute.reason
    return None


def _devices(members: Mapping[str, DomainEnergy | Problem], boundary: Boundary) -> list[str]:
    """The devices in use, and for ``compute`` the CPU and DRAM beside them."""
    gpus = [n for n, d in members.items() if d.kind == "gpu" and d.in_use]
    cpus = [n for n, d in members.items() if d.kind == "cpu"]
    if boundary == "accelerator":
        return gpus or cpus
    return gpus + cpus + [n for n, d in members.items() if d.kind == "dram"]


def _node(members: Mapping[str, DomainEnergy | Problem]) -> tuple[list[str], str]:
    """(The widest meter of the node and what it leaves out; without one, everything; a note).

    A meter may have several domains of the node, such as a platform zone for each socket: they
    count together. One that says less than what it covers is no meter of the whole.
    """
    nodes = {n: d for n, d in members.items() if isinstance(d, DomainEnergy) and d.kind == "node"}
    if not nodes:
        return list(members), METERED_ONLY
    widest, whole = _widest(nodes)
    inside = nodes[widest].covers
    too_little = _too_little(members, whole, inside)
    if too_little:
        # The meter is wrong, or sees less than it says: the next widest one is asked.
        chosen, note = _node({n: d for n, d in members.items() if n not in whole})
        return chosen, f"{too_little}, and is left out; {note}"
    rest = [n for n, d in members.items() if d.kind != "node" and d.kind not in inside]
    return [*whole, *_unread_zones(members, widest), *rest], "" if inside else METERED_ONLY


def _widest(nodes: Mapping[str, DomainEnergy]) -> tuple[str, list[str]]:
    """(A domain of the meter that covers most; all the domains of that meter that cover the same).

    The name breaks a tie, so that every trial of a cell is summed over the same meter.
    """
    widest = max(nodes, key=lambda n: (len(nodes[n].covers), n))
    meter, covers = nodes[widest].meter, nodes[widest].covers
    return widest, [n for n, d in nodes.items() if (d.meter, d.covers) == (meter, covers)]


def _too_little(
    members: Mapping[str, DomainEnergy | Problem], whole: Sequence[str], inside: Sequence[str]
) -> str:
    """How the meter of the domains ``whole`` says less than the others together that measure what
    is ``inside`` it; empty where it does not."""
    read = {n: d for n, d in members.items() if isinstance(d, DomainEnergy)}
    parts = {n: d for n, d in read.items() if d.kind in inside and n not in whole}
    whole_j = sum(read[n].energy_j for n in whole)
    parts_j = _parts_j(list(parts.values()))
    if whole_j < parts_j:
        less = f"says {whole_j:.3g} J, less than the {parts_j:.3g} J of what it covers"
        return f"{', '.join(whole)} {less} ({', '.join(parts)})"
    return ""


def _unread_zones(members: Mapping[str, DomainEnergy | Problem], zone: str) -> list[str]:
    """The zones beside ``zone`` that could not be read: ``psys:1`` of ``psys:0``. They belong to
    the sum, which without them would be of a part of the node and look like the whole."""
    name = zone.partition(":")[0]
    return [n for n, d in members.items() if isinstance(d, Problem) and n.partition(":")[0] == name]


def _parts_j(parts: Sequence[DomainEnergy]) -> float:
    """What parts of a node make up at least: a smaller meter of the node may cover the others."""
    apart_j = sum(d.energy_j for d in parts if d.kind != "node")
    return max([apart_j, *(d.energy_j for d in parts if d.kind == "node")])


def _sum(domains: Mapping[str, DomainEnergy], note: str) -> Bounded:
    energy_j = sum(d.energy_j for d in domains.values())
    # Accuracies of one kind of meter are taken to be wrong together: they add up linearly.
    # Edges are independent: they add up in quadrature.
    return Bounded(
        energy_j=energy_j,
        edge_j=math.sqrt(sum(d.edge_j**2 for d in domains.values())),
        low_j=sum(d.energy_j * d.accuracy_low for d in domains.values()),
        high_j=sum(d.energy_j * d.accuracy_high for d in domains.values()),
        provenance=_weakest(list(domains.values()), energy_j),
        domains=tuple(domains),
        note=note,
    )


def _weakest(domains: Sequence[DomainEnergy], energy_j: float) -> Provenance:
    """The weakest provenance at which, or below which, a significant share of the energy lies:
    many small estimates weigh as one large one."""
    for provenance in sorted({d.provenance for d in domains}, key=lambda p: -p.weakness):
        weak_j = sum(d.energy_j for d in domains if d.provenance.weakness >= provenance.weakness)
        if weak_j >= SIGNIFICANT * energy_j:
            return provenance
    raise AssertionError("the shares of a sum add up to all of it")


def above_idle(
    gross: Bounded, seconds: float, idle: Phase | None, boundary: Boundary
) -> tuple[float, float] | None:
    """(Joules of ``gross``, which took ``seconds``, above the idle power of the same domains; the
    standard uncertainty of its edges and of the baseline's, k = 1, joules); None without a
    baseline.

    The baseline's edges weigh the more the shorter it was against what is measured.
    """
    if idle is None:
        return None
    baseline = within(idle, boundary)
    if isinstance(baseline, Refused) or set(baseline.domains) != set(gross.domains):
        return None
    times = seconds / idle.seconds
    net_j = gross.energy_j - baseline.energy_j * times
    return net_j, math.hypot(gross.edge_j, baseline.edge_j * times)
