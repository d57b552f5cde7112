"""The four boundaries: which domains of a phase count. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from permille.records import Record
from permille.records.energy import Boundary, DomainEnergy, Phase, Problem, Refused
from permille.records.recording import Provenance
from permille.units import format_number

SIGNIFICANT = 0.05
"""A sum has the provenance of its weaker domains if they contribute at least this share of it."""


METERED_ONLY = "the sum of the metered domains: there is no meter of the whole node"


class Bounded(Record):
    """Energy of a phase in a boundary.

    ``edge_j`` is the standard uncertainty of the edges (k = 1, joules); ``low_j`` and ``high_j``
    are the uncertainty below and above from the meters' accuracy (k = 2, joules).
    """

    energy_j: float
    edge_j: float
    low_j: float
    high_j: float
    provenance: Provenance
    domains: tuple[str, ...]
    note: str = ""


class Members(NamedTuple):
    """The domains of a phase that are in a boundary, and a note about their choice."""

    domains: tuple[str, ...]
    note: str


def within(phase: Phase, boundary: Boundary) -> Bounded | Refused:
    """The energy of ``phase`` within ``boundary``, or the reason that it cannot be told.

    ``facility`` is the node's energy here: the PUE is applied when reading.
    """
    members = members_of(phase, boundary)
    return members if isinstance(members, Refused) else energy_of(phase, members)


def energy_of(phase: Phase, members: Members) -> Bounded:
    """The energy of these domains of ``phase``."""
    return _sum([phase.domains[name] for name in members.domains], members)


def members_of(phase: Phase, boundary: Boundary) -> Members | Refused:
    """The domains of ``phase`` within ``boundary``.

    If one could not be determined, the whole sum is undetermined: a failed meter must never look
    like free energy.
    """
    members = _members(phase)
    if not members:
        return Refused(reason="nothing was metered")
    note = ""
    if boundary in ("node", "facility"):
        chosen, note = _node(members)
    else:
        chosen = _devices(members, boundary)
    if not chosen:
        return Refused(
            reason=f"no meter for the {boundary} boundary's domains; try --boundary node"
        )
    # A roll-up asks this of every trial in each boundary, and hardly any has a problem.
    for name in chosen if phase.problems else ():
        member = members[name]
        if isinstance(member, Problem):
            return Refused(reason=f"{name}: {member.reason}")
    return Members(tuple(chosen), note)


def unusable(phase: Phase, *, per_gpu: bool = False) -> str | None:
    """Why neither ``compute`` nor ``node`` has a figure for a phase; None if one has. With
    ``per_gpu``, why ``accelerator`` has none."""
    if per_gpu:
        if not any(d.kind == "gpu" and d.in_use for d in _members(phase).values()):
            return "the model did not use its GPU, and nothing else is measured with --per gpu"
        accelerator = within(phase, "accelerator")
        return accelerator.reason if isinstance(accelerator, Refused) else None
    compute, node = within(phase, "compute"), within(phase, "node")
    if isinstance(compute, Refused) and isinstance(node, Refused):
        return compute.reason
    return None


def _members(phase: Phase) -> Mapping[str, DomainEnergy | Problem]:
    return {**phase.domains, **phase.problems} if phase.problems else phase.domains


def _devices(members: Mapping[str, DomainEnergy | Problem], boundary: Boundary) -> list[str]:
    """The devices in use and, for ``compute``, the CPU and DRAM."""
    of_kind: dict[str, list[str]] = {"gpu": [], "cpu": [], "dram": []}
    for name, domain in members.items():
        if domain.kind in of_kind and (domain.in_use or domain.kind != "gpu"):
            of_kind[domain.kind].append(name)
    gpus, cpus = of_kind["gpu"], of_kind["cpu"]
    if boundary == "accelerator":
        # Without a GPU the processor is the device in use.
        return gpus or cpus
    return gpus + cpus + of_kind["dram"]


def _node(members: Mapping[str, DomainEnergy | Problem]) -> tuple[list[str], str]:
    """(The widest meter of the node plus what it does not cover or, without one, everything; a
    note).

    A meter may have several domains of the node, such as a platform zone for each socket, which
    are summed. One that reads less than the domains it covers is not used.
    """
    nodes = {n: d for n, d in members.items() if isinstance(d, DomainEnergy) and d.kind == "node"}
    # A failed meter of the node is not among these, but it is a member: there is no figure then.
    if not nodes:
        return list(members), METERED_ONLY
    widest, whole = _widest(nodes)
    inside = nodes[widest].covers
    too_little = _too_little(members, whole, inside)
    if too_little:
        # The meter is wrong or covers less than it states: use the next widest one.
        chosen, note = _node({n: d for n, d in members.items() if n not in whole})
        return chosen, f"{too_little}, and is left out; {note}"
    rest = [n for n, d in members.items() if d.kind != "node" and d.kind not in inside]
    return [*whole, *_unread_zones(members, widest), *rest], "" if inside else METERED_ONLY


def _widest(nodes: Mapping[str, DomainEnergy]) -> tuple[str, list[str]]:
    """(A domain of the meter that covers most; all domains of that meter that cover the same).

    Ties are resolved by name, so that every trial of a cell uses the same meter.
    """
    widest = max(nodes, key=lambda n: (len(nodes[n].covers), n))
    meter, covers = nodes[widest].meter, nodes[widest].covers
    return widest, [n for n, d in nodes.items() if (d.meter, d.covers) == (meter, covers)]


def _too_little(
    members: Mapping[str, DomainEnergy | Problem], whole: Sequence[str], inside: Sequence[str]
) -> str:
    """A message if the meter of the domains ``whole`` reads less than the sum of the domains
    ``inside`` it; otherwise empty."""
    read = {n: d for n, d in members.items() if isinstance(d, DomainEnergy)}
    parts = {n: d for n, d in read.items() if d.kind in inside and n not in whole}
    whole_j = sum(read[n].energy_j for n in whole)
    parts_j = _parts_j(list(parts.values()))
    if whole_j < parts_j:
        return (
            f"{', '.join(whole)} reads {format_number(whole_j)} J, less than the"
            f" {format_number(parts_j)} J of the domains that it covers ({', '.join(parts)})"
        )
    return ""


def _unread_zones(members: Mapping[str, DomainEnergy | Problem], zone: str) -> list[str]:
    """The sibling zones of ``zone`` that could not be read: ``psys:1`` for ``psys:0``. Without them
    the sum would be a part of the node but look like the whole."""
    name = zone.partition(":")[0]
    return [n for n, d in members.items() if isinstance(d, Problem) and n.partition(":")[0] == name]


def _parts_j(parts: Sequence[DomainEnergy]) -> float:
    """The least energy of the parts of a node; a smaller meter of the node may cover the others."""
    apart_j = sum(d.energy_j for d in parts if d.kind != "node")
    return max([apart_j, *(d.energy_j for d in parts if d.kind == "node")])


def _sum(domains: Sequence[DomainEnergy], members: Members) -> Bounded:
    energy_j = sum([d.energy_j for d in domains])
    # Accuracy errors of one kind of meter are assumed to be correlated: they add linearly.
    # Edge errors are independent: they add in quadrature.
    return Bounded(
        energy_j=energy_j,
        edge_j=math.sqrt(sum([d.edge_j**2 for d in domains])),
        low_j=sum([d.energy_j * d.accuracy_low for d in domains]),
        high_j=sum([d.energy_j * d.accuracy_high for d in domains]),
        provenance=_weakest(domains, energy_j),
        domains=members.domains,
        note=members.note,
    )


def _weakest(domains: Sequence[DomainEnergy], energy_j: float) -> Provenance:
    """The weakest provenance such that a significant share of the energy has it or a weaker one:
    many small estimates count like one large estimate."""
    provenances = {d.provenance for d in domains}
    if len(provenances) == 1:
        return provenances.pop()
    for provenance in sorted(provenances, key=lambda p: -p.weakness):
        weak_j = sum(d.energy_j for d in domains if d.provenance.weakness >= provenance.weakness)
        if weak_j >= SIGNIFICANT * energy_j:
            return provenance
    raise AssertionError("the shares of a sum add up to 1")


def above_idle(
    gross: Bounded, seconds: float, idle: Phase | None, boundary: Boundary
) -> tuple[float, float] | None:
    """(Joules of ``gross``, which took ``seconds``, above the idle power of the same domains; the
    standard uncertainty of its edges and the baseline's, k = 1, joules); None without a baseline.

    The baseline's edges count more, the shorter it is compared with the measured span.
    """
    if idle is None or not idle.seconds:
        return None
    baseline = within(idle, boundary)
    # A meter of the node that reads less than its parts in one of the two spans is left out there:
    # the difference would be that of two sets of domains.
    if isinstance(baseline, Refused) or set(baseline.domains) != set(gross.domains):
        return None
    times = seconds / idle.seconds
    net_j = gross.energy_j - baseline.energy_j * times
    return net_j, math.hypot(gross.edge_j, baseline.edge_j * times)
