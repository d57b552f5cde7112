"""The GitHub Action's script, run as a runner runs it, on a repository with two versions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PATIENCE_S, Permille
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

ROOT = Path(__file__).parents[2]


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def versions(tmp_path: Path) -> tuple[Path, str]:
    """A checkout whose last commit sleeps so much longer that no delay of a busy machine makes up
    for it, and the commit before it."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for seconds in ("0.2", "3"):
        (folder / "work.sh").write_text(f"sleep {seconds}; echo 100%\n")
        git(folder, "add", "work.sh")
        git(folder, "commit", "--quiet", "-m", seconds)
    return folder, git(folder, "rev-parse", "HEAD~1")


def act(
    folder: Path, environment: dict[str, str], tmp_path: Path, **inputs: str
) -> subprocess.CompletedProcess[str]:
    (tmp_path / "runner").mkdir()
    given = {
        "GITHUB_WORKSPACE": str(folder),
        "RUNNER_TEMP": str(tmp_path / "runner"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "PERMILLE": f"{Path(sys.executable).parent}{os.sep}permille",
        "COMMAND": "sh work.sh", "SETUP": "", "MAX_INCREASE": "5%", "AT_MOST": "1h", "ROUNDS": "3",
    }  # fmt: skip
    return subprocess.run(
        [str(ROOT / "scripts/gate_action.sh")], env=environment | given | inputs,
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=folder,
    )  # fmt: skip


def test_a_pull_request_that_needs_much_more_energy_fails(
    powercap: Driver,
    versions: tuple[Path, str],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    folder, base = versions
    finished = act(folder, environment, tmp_path, BASE=base, SETUP="touch prepared")
    assert finished.returncode == 4, finished.stderr
    assert "::error title=permille gate::fails: head: sh work.sh needs" in finished.stdout
    summary = (tmp_path / "summary.md").read_text()
    assert "| verdict | **fail** |" in summary
    assert "| base | `base: sh work.sh` |" in summary
    assert (folder / "prepared").exists()
    assert (tmp_path / "runner/permille-base/prepared").exists()


def test_a_base_that_was_not_fetched_is_named_with_the_mend(
    versions: tuple[Path, str], environment: dict[str, str], tmp_path: Path
) -> None:
    finished = act(versions[0], environment, tmp_path, BASE="0" * 40)
    assert finished.returncode == 2
    assert "::error title=permille gate::cannot check out the base" in finished.stdout
    assert "fetch-depth: 0" in finished.stdout


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"BASE": ""}, "::error title=permille gate::there is no commit to compare with"),
        ({"SETUP": "exit 3"}, "::error title=permille gate::the setup failed in the base: exit 3"),
    ],
)
def test_what_keeps_it_from_measuring_is_an_annotation(
    versions: tuple[Path, str],
    environment: dict[str, str],
    tmp_path: Path,
    inputs: dict[str, str],
    says: str,
) -> None:
    folder, base = versions
    finished = act(folder, environment, tmp_path, **({"BASE": base} | inputs))
    assert finished.returncode == 2, finished.stderr
    assert says in finished.stdout


def test_a_command_line_that_is_wrong_is_an_annotation_too(
    versions: tuple[Path, str], environment: dict[str, str], tmp_path: Path
) -> None:
    folder, base = versions
    finished = act(folder, environment, tmp_path, BASE=base, MAX_INCREASE="100%%")
    assert finished.returncode == 2
    assert "::error title=permille gate::" in finished.stdout
    assert "'100%25%25'" in finished.stdout


def test_the_action_gives_its_script_every_input(permille: Permille) -> None:
    import yaml

    action = yaml.safe_load((ROOT / "action.yml").read_text())
    install, compare = action["runs"]["steps"]
    assert "$GITHUB_ACTION_PATH" in install["run"]
    given = " ".join(compare["env"].values())
    assert {f"inputs.{name}" in given for name in action["inputs"]} == {True}
    script = (ROOT / "scripts/gate_action.sh").read_text()
    assert {name in script for name in compare["env"]} == {True}
    assert "${{" not in compare["run"]
