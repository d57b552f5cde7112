"""Build a release, check it, and use the wheel as its users will: in an empty environment and a
folder outside this checkout. Needs the package registry and, for the explorer's page, npm."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = _built(folder / "dist")
        venv.create(folder / "env", with_pip=True)
        home = folder / "somewhere"
        home.mkdir()
        python = str(folder / "env" / "bin" / "python")
        constraints = ["--constraint", str(ROOT / "constraints.txt")]
        _run(
            [
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                *constraints,
                f"{wheel}[quickstart,explorer]",
            ],
            home,
        )
        permille = str(folder / "env" / "bin" / "permille")
        _run([permille, "--version"], home)
        _run([permille, "assets", "fetch", "quickstart"], home)
        _run([permille, "run", "quickstart", "--repeats", "2"], home)
        _run([permille, "results", "--json"], home)
        _run([permille, "export", "html", "figures.html"], home)
        page = (home / "figures.html").read_text(encoding="utf-8")
        if "MiniLM" not in page or "<script" not in page:
            sys.exit("the exported page lacks the run, or its script")
        _explored(permille, home)
    print("release-check: sdist and wheel are sound, and the wheel works outside the checkout")


def _built(dist: Path) -> Path:
    """The wheel, built from the sdist as an installer would where there is no wheel."""
    _run([sys.executable, "-m", "build", "--outdir", str(dist), str(ROOT)], ROOT)
    files = sorted(dist.iterdir())
    _run([sys.executable, "-m", "twine", "check", "--strict", *map(str, files)], ROOT)
    (wheel,) = [file for file in files if file.suffix == ".whl"]
    return wheel


def _explored(permille: str, home: Path) -> None:
    """The explorer answers with a page that has its script."""
    with subprocess.Popen(
        [permille, "explore", "--no-open", "--port", "0"],
        cwd=home, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        try:
            for line in server.stdout:
                if found := re.search(r"http://\S+", line):
                    with urllib.request.urlopen(found.group().rstrip("."), timeout=60) as answer:
                        page = answer.read().decode("utf-8")
                    if "modules.js" not in page:
                        sys.exit("the explorer's page lacks its script")
                    return
            sys.exit("the explorer did not say its address")
        finally:
            server.terminate()


def _environment() -> dict[str, str]:
    """Ours, without what could lead back into the checkout."""
    return {
        k: v for k, v in os.environ.items() if not k.startswith(("PERMILLE_", "PYTHON", "VIRTUAL"))
    }


def _run(command: list[str], folder: Path) -> None:
    print("$", " ".join(command), flush=True)
    done = subprocess.run(command, cwd=folder, env=_environment(), stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"failed with {done.returncode}")


if __name__ == "__main__":
    main()
