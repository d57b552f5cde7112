"""The machine and the place of a BoAmps report. What is not known is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from permille.carbon.lookup import find
from permille.carbon.settings import CarbonSettings
from permille.carbon.table import grid_table
from permille.errors import CarbonError
from permille.exporters.single import shown
from permille.records.trial import Trial

# memorySize is in gigabytes (hardware_schema.json), and the fact is in GiB.
_GB_PER_GIB = 2**30 / 1e9


def system(facts: dict[str, str]) -> dict[str, Any] | None:
    """The operating system."""
    name = facts.get("system") or facts.get("os")
    return None if name is None else {"os": shown(name)}


def software(facts: dict[str, str]) -> dict[str, Any] | None:
    """The programming language, where a tool of this language recorded its version: other tools'
    logs may be of any."""
    version = facts.get("python") or facts.get("python_version")
    return None if version is None else {"language": "python", "version": shown(version)}


def components(trial: Trial, counted: Sequence[str]) -> list[dict[str, Any]]:
    """The processors and devices, in the number of their ``counted`` domains, and the memory."""
    facts, domains = trial.environment.facts, trial.phases["query"].domains
    processors = sum(domains[name].kind == "cpu" for name in counted)
    gpus = [name for name in counted if domains[name].kind == "gpu"]
    gib, processor = _number(facts.get("memory_gib")), facts.get("cpu")
    # At least one, even if only accelerators count: every machine has a processor.
    cpu = known(
        componentType="cpu",
        nbComponent=max(1, processors),
        componentName=processor and shown(processor),
    )
    memory = {} if gib is None else {"memorySize": gib * _GB_PER_GIB}
    # One, as the schema has it for a total: memorySize is that of each component.
    ram = [{"componentType": "ram", "nbComponent": 1, **memory}] if memory else []
    return [cpu, *_gpus(gpus, trial), *ram]


def _gpus(domains: Sequence[str], trial: Trial) -> Iterator[dict[str, Any]]:
    """A component for each kind of GPU, as the meters name them, else as the model does."""
    # "gpu:0: NVIDIA H100, gpu:1: …": a domain's name has a colon, but no blank after it.
    listed = trial.environment.facts.get("devices", "").split(", ")
    names = {domain: name for domain, _, name in (text.partition(": ") for text in listed)}
    kinds = Counter(names.get(domain) or trial.device or "" for domain in domains)
    for name, number in kinds.items():
        yield known(
            componentType="gpu",
            nbComponent=number,
            componentName=shown(name) if name else None,
        )


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def place(carbon: CarbonSettings) -> dict[str, Any] | None:
    """The chosen grid; BoAmps has no place without a country."""
    if carbon.assumed or carbon.region is None:
        return None
    places = grid_table().places
    try:
        # Not by the table's code alone: a live figure has the service's zone, such as DE.
        chosen = find(carbon.region)
    except CarbonError:
        return None
    top = chosen
    while top.kind not in ("country", "world") and top.parent is not None:
        top = places[top.parent]
    if top.kind != "country":
        return None
    return known(
        country=top.name,
        location=None if chosen is top else chosen.name,
        powerSourceCarbonIntensity=carbon.intensity_g_per_kwh,
    )


def known(**parts: Any) -> dict[str, Any]:
    """The parts that are not None."""
    return {name: part for name, part in parts.items() if part is not None}
