"""Run the quick start on this machine and put what it said into README.md and
docs/the-question.md, between their markers. Otherwise idle machine, please; a few minutes.

    python scripts/refresh_quickstart.py [--store STORE]     # of a run that is done, to run nothing
"""

from __future__ import annotations

import argparse
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMALL, LARGE = "MiniLM-L6 int8", "SmolLM2-135M-Instruct"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, help="a store that holds the quick start")
    store = parser.parse_args().store
    with tempfile.TemporaryDirectory() as folder:
        if store is None:
            store = Path(folder) / "quickstart.db"
            permille("run", "quickstart", "--store", str(store))
        # Nothing is left to be done: the same command prints the table and the answer again.
        said = permille("run", "quickstart", "--store", str(store))
        table, answer = table_of(said), answer_of(said)
        ratio = permille("compare", "--store", str(store), LARGE, SMALL).strip()
        parts = permille("results", "--store", str(store), "--explain")
    machine = f"{cpu()}, {platform.system()}, Python {platform.python_version()}"
    put(ROOT / "README.md", "quickstart", f"```\n{table}\n\n{answer}\n```")
    page = ROOT / "docs" / "the-question.md"
    put(page, "machine", machine)
    put(page, "results", f"```\n{table}\n```")
    put(page, "ratio", f"```\n{ratio}\n```")
    put(page, "parts", f"```\n{explained(parts, table)}\n```")


def permille(*arguments: str) -> str:
    command = [sys.executable, "-m", "permille", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def table_of(text: str) -> str:
    """The table's lines, without the blanks that surround it."""
    lines = [line.rstrip() for line in text.splitlines()]
    start = next(i for i, line in enumerate(lines) if line.lstrip().startswith("model "))
    end = next(i for i in range(start, len(lines)) if not lines[i])
    return "\n".join(line.removeprefix(" ") for line in lines[start:end])


def answer_of(text: str) -> str:
    """The sentence that answers the question."""
    return next(line for line in text.splitlines() if " times the energy of " in line)


def explained(text: str, table: str) -> str:
    """What each interval is made of, in the order of the table."""
    parts: dict[str, list[str]] = {}
    model = None
    for line in text.splitlines():
        if line.endswith("within compute:"):
            model = line.split(", ")[0]
            parts[model] = [line]
        elif model is not None and line.startswith("  "):
            parts[model].append(line)
    rows = table.splitlines()
    order = sorted(parts, key=lambda name: [row.startswith(name) for row in rows].index(True))
    return "\n".join(line for name in order for line in parts[name])


def cpu() -> str:
    """The processor by its name, where Linux tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    names = re.findall(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return f"{len(names)} × {names[0]}" if names else platform.machine()


def put(page: Path, name: str, content: str) -> None:
    """``content`` between the page's markers of that name."""
    text = page.read_text(encoding="utf-8")
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, rest = text.split(start)
    after = rest.split(end)[1]
    page.write_text(f"{before}{start}\n{content}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
