"""Check the page's JavaScript: types (tsc), eslint, and prettier's form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import build_explorer

CHECKS = (
    ("typescript/bin/tsc", "--project", "."),
    ("eslint/bin/eslint.js", "."),
    ("prettier/bin/prettier.cjs", "--check", "--log-level", "warn", "."),
)


def main() -> None:
    web = build_explorer.WEB
    node = build_explorer.install()
    failed = []
    for script, *arguments in CHECKS:
        command = [node, str(web / "node_modules" / script), *arguments]
        if subprocess.run(command, cwd=web).returncode:
            failed.append(Path(script).parts[0])
    if failed:
        sys.exit(f"the page's JavaScript: {', '.join(failed)} failed")


if __name__ == "__main__":
    main()
