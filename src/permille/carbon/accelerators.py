"""Embodied carbon of accelerators, from published life cycle assessments.

A figure is of the accelerator alone: its host is another machine with every buyer, and is not in
it. It is therefore never part of an SCI score, which needs all hardware.
"""

from __future__ import annotations

from permille.carbon.embodied import Hardware, embodied_g
from permille.errors import CarbonError
from permille.records import Record
from permille.suggestions import similar

LCA_UNCERTAINTY = 0.6
"""Relative. The assessments publish none: this is what EcoDiag (CNRS EcoInfo) assumes for the
assessment of a graphics card."""

_QUOTED = "as quoted by others, not read in the document itself"
_NVIDIA = (
    "product carbon footprint summary (ISO 14067, cradle to gate), one of eight on a baseboard;"
    f" {_QUOTED}"
)


class Accelerator(Record, frozen=True):
    """An accelerator and its embodied carbon (kgCO2e)."""

    name: str
    embodied_kg: float
    source: str


ACCELERATORS = {
    accelerator.name: accelerator
    for accelerator in (
        Accelerator(
            name="A100-PCIE-40GB",
            embodied_kg=181.0,
            source="parametric model of ADEME's study of graphics cards, by Hubblo and Tide, 2026"
            " (cradle to grave without use)",
        ),
        Accelerator(
            name="A100-SXM-40GB",
            embodied_kg=127.6,
            source="Falk et al. 2025, More than Carbon, arXiv 2509.00093 (cradle to gate);"
            f" {_QUOTED}",
        ),
        Accelerator(name="B200-SXM", embodied_kg=284.25, source=f"NVIDIA HGX B200, {_NVIDIA}"),
        Accelerator(name="H100-SXM-80GB", embodied_kg=164.0, source=f"NVIDIA HGX H100, {_NVIDIA}"),
    )
}
"""By name: 2,274 kg and 1,312 kg per baseboard of eight B200 and H100."""


class EmbodiedShare(Record, frozen=True):
    """An accelerator's embodied carbon spread over its lifespan (years). ``uncertainty`` is
    relative. ``scope`` says which hardware is meant."""

    device: str
    embodied_kg: float
    uncertainty: float
    lifespan_years: float
    source: str
    scope: str = "the accelerators alone, without their host"


def embodied_of(device: str, lifespan_years: float) -> EmbodiedShare:
    """The share of the accelerator of this name.

    Raises:
        CarbonError: its embodied carbon is not known here, or a lifespan out of range.
    """
    # Only by the whole name: the PCIe and SXM forms of the A100 differ by 40 %.
    known = {name.casefold(): one for name, one in ACCELERATORS.items()}
    found = known.get(device.strip().casefold())
    if found is None:
        near = similar(device.casefold(), list(known), 1, cutoff=0.5)
        hint = f"did you mean {known[near[0]].name}?" if near else ""
        names = ", ".join(ACCELERATORS)
        raise CarbonError(
            f"no embodied carbon is known of {device[:60]!r}; {hint or f'known: {names}'}"
            " (for other hardware: results --embodied-kg)"
        )
    embodied_g(Hardware(embodied_kg=0, lifespan_years=lifespan_years), 0)  # checks the lifespan
    return EmbodiedShare(
        device=found.name,
        embodied_kg=found.embodied_kg,
        uncertainty=LCA_UNCERTAINTY,
        lifespan_years=lifespan_years,
        source=found.source,
    )


def share_g(share: EmbodiedShare, number: int, reserved_s: float) -> float:
    """Grams of embodied CO2e of ``number`` accelerators for ``reserved_s`` seconds."""
    hardware = Hardware(embodied_kg=share.embodied_kg, lifespan_years=share.lifespan_years)
    return number * embodied_g(hardware, reserved_s)
