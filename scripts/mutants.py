"""Change the code that makes the figures, one operator or constant at a time, and see that a test
fails (mutmut; what is changed and which tests run: ``[tool.mutmut]`` in pyproject.toml).

A change that passes the tests is open, unless it is of a text alone (a message, an HTTP header) or
``scripts/equivalent_mutants.toml`` says why it changes no figure. Names of mutants, such as
``permille.energy.*``, limit the run. Exit 1 if a change is open, or one is listed in vain.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
COPY = ROOT / "mutants"
"""Where mutmut keeps the changed code; the name is mutmut's."""

EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")
MUTMUT = Path(sys.executable).with_name("mutmut")
DETECTED = ("killed", "timeout", "segfault")


class Change(NamedTuple):
    """The changed lines of a module's function: as they are, and as mutmut made them."""

    function: str
    before: str
    after: str

    @property
    def in_text_alone(self) -> bool:
        """mutmut changes a text by XX at its ends, or by its case."""
        before, after = (side.replace("XX", "").casefold() for side in (self.before, self.after))
        return before == after


def function_of(mutant: str) -> str:
    """``energy.edge_s`` of ``permille.energy.x_edge_s__mutmut_6``, and of a method of a class
    (``xǁClassǁmethod``) with the class."""
    module, _, mangled = mutant.rpartition("__mutmut_")[0].rpartition(".")
    name = ".".join(mangled.split("ǁ")[1:]) or mangled.removeprefix("x_")
    return f"{module.removeprefix('permille.')}.{name}"


def change_of(mutant: str, diff: str) -> Change:
    """The change in a unified diff, without its indentation."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    before, after = (
        "\n".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"
    )
    return Change(function_of(mutant), before, after)


def equivalent() -> set[Change]:
    """The changes that no test can notice."""
    listed = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))["equivalent"]
    return {
        Change(entry["function"], entry["before"], after)
        for entry in listed
        for after in entry["after"]
    }


def mutmut(*arguments: str) -> str:
    """What a command of mutmut prints."""
    done = subprocess.run(
        [MUTMUT, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def outcomes(functions: list[str]) -> dict[str, str]:
    """Each mutant that was tried, and what became of it."""
    # mutmut goes on where it stopped: results of another state of the tests would count as this
    # one's.
    shutil.rmtree(COPY, ignore_errors=True)
    subprocess.run([MUTMUT, "run", *functions], cwd=ROOT, check=True)
    pairs = (line.strip().split(": ") for line in mutmut("results", "--all", "True").splitlines())
    return {mutant: outcome for mutant, outcome in pairs if outcome != "not checked"}


def report(tried: dict[str, str], passed: dict[str, Change]) -> bool:
    """Print what became of all changes; whether none is open and none is listed in vain."""
    known = equivalent()
    texts = {mutant: change for mutant, change in passed.items() if change.in_text_alone}
    alike = {mutant: change for mutant, change in passed.items() if change in known}
    still_open = {mutant: passed[mutant] for mutant in passed.keys() - texts.keys() - alike.keys()}
    functions = {function_of(mutant) for mutant in tried}
    in_vain = {change for change in known - set(alike.values()) if change.function in functions}
    for change in texts.values():
        print(f"a text alone: {change.function}: {change.after}")
    for change in in_vain:
        print(f"\nnot equivalent, or gone: {change.function}\n- {change.before}\n+ {change.after}")
    for mutant, change in sorted(still_open.items()):
        print(f"\n{mutant}: {tried[mutant]}\n- {change.before}\n+ {change.after}")
    print(
        f"\n{len(tried)} changes: {len(tried) - len(passed)} detected,"
        f" {len(texts)} of a text alone, {len(alike)} equivalent, {len(still_open)} open"
    )
    return not (still_open or in_vain)


def main() -> None:
    tried = outcomes(sys.argv[1:])
    passed = {
        mutant: change_of(mutant, mutmut("show", mutant))
        for mutant, outcome in tried.items()
        if outcome not in DETECTED
    }
    if not tried or not report(tried, passed):
        sys.exit(1)


if __name__ == "__main__":
    main()
