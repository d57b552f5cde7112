"""The zones of a Linux powercap tree that count energy, without counting a joule twice.

A tree may list sub-zones flat at its root, nested in their package, or both ways (sysfs: every
zone has a symbolic link in the class folder). A zone is known by its folder's name, such as
``intel-rapl:0:1``, so that a zone reached by two paths is one zone.
See the kernel's Documentation/power/powercap/powercap.rst.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from permille.records.recording import DomainKind

# AMD's zones are called intel-rapl too: one driver serves both (kernel, intel_rapl_msr.c).
_FOLDER = re.compile(r"[a-z0-9-]*rapl[a-z0-9-]*(:\d+){0,2}")
_PACKAGE = re.compile(r"package-(\d+)(?:-die-(\d+))?")
_PLATFORM = re.compile(r"psys(?:-(\d+))?")
"""The kernel names a second socket's platform zone ``psys-1`` (intel_rapl_common.c)."""
# The levels of a real tree: control type, package, sub-zone; and one to spare.
_DEPTH = 4
_MOST = 4096  # the most zones: a real machine has fewer


class Zone(NamedTuple):
    """One zone that becomes a domain. ``package`` and ``die`` are from its name."""

    domain: str
    kind: DomainKind
    path: Path
    folder: str
    package: int | None
    die: int | None


def read_line(path: Path) -> str:
    """The first 256 characters of a small file, stripped.

    Raises:
        OSError: it cannot be read.
    """
    with path.open(encoding="ascii", errors="replace") as file:
        return file.read(256).strip()


def find_folders(root: Path) -> dict[str, Path]:
    """Every zone's folder in ``root``, by the folder's name."""
    found: dict[str, Path] = {}
    pending = [(root, 0)]
    while pending and len(found) < _MOST:
        # Breadth first: of several paths to a zone, the shortest is kept.
        folder, depth = pending.pop(0)
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            path = folder / name
            if not _FOLDER.fullmatch(name) or name in found or not path.is_dir():
                continue
            if ":" in name:
                found[name] = path
            if depth < _DEPTH:
                pending.append((path, depth + 1))
    return found


def find_zones(root: Path) -> list[Zone]:
    """The packages, their dram and the platform (psys) in ``root``.

    ``core`` and ``uncore`` are part of the package and left out; so is a package that another
    interface (``intel-rapl-mmio``) repeats.
    """
    folders = find_folders(root)
    names: dict[str, str] = {}
    for folder, path in folders.items():
        try:
            names[folder] = read_line(path / "name")
        except OSError:
            continue  # it cannot be distinguished from others: see nameless_zones
    packages: dict[str, Zone] = {}
    zones: list[Zone] = []
    for folder in sorted(names, key=_order):
        zone = _package(folder, names[folder], folders[folder], packages)
        if zone is not None:
            packages[folder] = zone
            zones.append(zone)
    taken = {zone.domain for zone in zones}
    for folder in sorted(names, key=_order):
        # Without a parent: that package was left out as a repetition, and so is its memory.
        parent = packages.get(folder.rpartition(":")[0])
        if names[folder] == "dram" and parent is not None:
            domain = "dram:" + parent.domain.removeprefix("cpu:")
            if domain not in taken:
                taken.add(domain)
                zones.append(
                    parent._replace(domain=domain, kind="dram", path=folders[folder], folder=folder)
                )
    platforms = [
        folder for folder in sorted(names, key=_order) if _PLATFORM.fullmatch(names[folder])
    ]
    for number, folder in enumerate(platforms):
        domain = "psys" if number == 0 else f"psys:{number}"
        zones.append(Zone(domain, "node", folders[folder], folder, None, None))
    return zones


def nameless_zones(root: Path) -> list[tuple[str, OSError]]:
    """Folders of zones in ``root`` whose name cannot be read, and why."""
    found = []
    for folder, path in sorted(find_folders(root).items()):
        try:
            read_line(path / "name")
        except OSError as error:
            found.append((folder, error))
    return found


def dangling_links(root: Path) -> list[str]:
    """Names of dangling links to zones directly in ``root``, as in a container with the class
    folder but without the devices to which its links point."""
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return []
    return [
        name
        for name in names
        if _FOLDER.fullmatch(name) and (root / name).is_symlink() and not (root / name).exists()
    ]


def without_mirrors(zones: Sequence[Zone], mirrored: Sequence[tuple[Zone, Zone]]) -> list[Zone]:
    """``zones`` without the second of each pair in ``mirrored``, and without its dram if it is a
    die."""
    gone = {second.domain for _, second in mirrored}
    gone |= {"dram:" + domain.removeprefix("cpu:") for domain in gone}
    return [zone for zone in zones if zone.domain not in gone]


def _order(folder: str) -> tuple[bool, str, list[int]]:
    prefix, *numbers = folder.split(":")
    # intel-rapl before intel-rapl-mmio, so that the latter is recognised as a repetition; and
    # intel-rapl:10 after intel-rapl:2.
    return ("-mmio" in prefix, prefix, [int(n) for n in numbers])


def _package(folder: str, name: str, path: Path, packages: dict[str, Zone]) -> Zone | None:
    match = _PACKAGE.fullmatch(name)
    if match is None:
        return None
    package, die = int(match[1]), int(match[2]) if match[2] else None
    prefix, _, number = folder.partition(":")
    same = [other for other in packages.values() if (other.package, other.die) == (package, die)]
    if any(other.folder.partition(":")[0] != prefix for other in same):
        return None  # the same package through another interface
    domain = f"cpu:{package}" + ("" if die is None else f".{die}")
    if same:
        # Kernels before 5.3 give both dies of a package the same name: keep both, by zone number.
        domain = f"{domain}.{number}"
    return Zone(domain, "cpu", path, folder, package, die)
