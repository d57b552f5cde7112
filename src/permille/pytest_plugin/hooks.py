"""What pytest loads: the fixture, the marker, the options, the summary and the JSON file."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from permille.errors import UsageError
from permille.escaping import plain
from permille.output import check_writable, write_whole
from permille.pytest_plugin.block import Energy, MeasuredBlock, checked_settings
from permille.units import format_number

PROPERTY = "permille_energy"
"""The key of a test's reports, which travel from xdist's workers to the controller as text."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--energy-json``."""
    group = parser.getgroup("permille", "energy of tests")
    group.addoption("--energy-json", metavar="PATH", help="write the energy of tests to this file")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; collect the reports, except on a worker of xdist."""
    config.addinivalue_line(
        "markers", "energy(**settings): settings of permille.record for the energy fixture"
    )
    if not hasattr(config, "workerinput"):
        _check_file(config.getoption("energy_json"))
        config.pluginmanager.register(Reports(config), "permille-reports")


def _check_file(path: str | None) -> None:
    """Check before the tests what would only be noticed after them."""
    try:
        if path is not None:
            check_writable(Path(path))
    except UsageError as error:
        raise pytest.UsageError(f"--energy-json: {error}") from error


@pytest.fixture
def energy(request: pytest.FixtureRequest) -> Energy:
    """Measure blocks of a test: ``with energy(inferences=100) as e: …``."""
    item = request.node
    settings: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("energy"))):  # the nearest marker wins
        if marker.args:
            raise UsageError("the energy marker takes keyword arguments only")
        settings |= checked_settings(marker.kwargs)

    def ended(block: MeasuredBlock) -> None:
        item.user_properties.append((PROPERTY, _as_json(item.nodeid, block)))

    return Energy(settings, ended, _refused(item))


def _refused(item: pytest.Item) -> str | None:
    """Why this test may not measure."""
    if (folder := _turns(item)) is None:
        return None
    # getfixturevalue() in the test comes too late: its turn was taken beside other tests.
    if "energy" not in getattr(item, "fixturenames", ()):
        return "other tests run beside this one: request energy as an argument of the test"
    # xdist can start workers by SSH, where the controller's folder is not.
    if not folder.is_dir():
        return "a worker on another machine cannot keep other tests away: run these without it"
    return None


def _turns(item: pytest.Item) -> Path | None:
    """The folder of the locks, on a worker of xdist."""
    worker: dict[str, Any] = getattr(item.config, "workerinput", {})
    return Path(worker["permille_turns"]) if "permille_turns" in worker else None


def _as_json(test: str, block: MeasuredBlock) -> str:
    result = block.result
    figures = {
        key: each and {"value": each.value, "low": each.low, "high": each.high}
        for key, each in (("energy_j", result.energy), ("kwh_per_1000", result.kwh_per_1000))
    }
    facts = {
        "valid": result.valid,
        "reason": result.reason,
        "provenance": result.provenance,
        "boundary": result.boundary,
        "pue": result.pue,
        "seconds": result.seconds,
        "repeats": result.spans,
        "inferences": result.inferences,
        "notes": result.notes,
    }
    return json.dumps({"test": test, "block": block.name} | figures | facts)


# Not wrapper=True: with a pluggy older than 1.2, loading this plug-in would stop the user's pytest.
# First, so that the set-up of fixtures and the other plug-ins are within the turn.
@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, None, None]:
    """On a worker of xdist, a test that measures waits until no other test runs."""
    with contextlib.ExitStack() as turns:
        folder = _turns(item)
        if folder is not None and folder.is_dir() and _any_measures(item.session):
            from permille.pytest_plugin.turns import turn

            alone = "energy" in getattr(item, "fixturenames", ())
            turns.enter_context(turn(folder, alone=alone))
        yield


_MEASURES = pytest.StashKey[bool]()


def _any_measures(session: pytest.Session) -> bool:
    """Whether a collected test measures; every worker collects the same tests."""
    if _MEASURES not in session.stash:
        session.stash[_MEASURES] = any(
            "energy" in getattr(item, "fixturenames", ()) for item in session.items
        )
    return session.stash[_MEASURES]


class Reports:
    """The energy of the tests, on the process that the user started."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._blocks: list[dict[str, Any]] = []
        self._turns: str | None = None

    # pytest-xdist's own: without it, pytest would refuse a hook that it does not know.
    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give every worker the folder of the locks."""
        if self._turns is None:
            self._turns = tempfile.mkdtemp(prefix="permille-")
        node.workerinput["permille_turns"] = self._turns

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a test's blocks from its last report."""
        # Each of a test's reports has its properties so far: the first two would count them again.
        if report.when == "teardown":
            texts = [str(text) for key, text in report.user_properties if key == PROPERTY]
            self._blocks += [json.loads(text) for text in texts]

    def pytest_sessionfinish(self) -> None:
        """Write the JSON file."""
        path = self._config.getoption("energy_json")
        if path is None:
            return
        content = json.dumps({"blocks": self._blocks}, indent=2) + "\n"
        try:
            write_whole(Path(path), content.encode())
        except UsageError as error:
            # At this point pytest catches its own exit alone; any other exception ends it with a
            # traceback.
            pytest.exit(f"--energy-json: {error}", returncode=pytest.ExitCode.USAGE_ERROR)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One line for each block."""
        if self._blocks:
            terminalreporter.section("energy")
            for block in self._blocks:
                terminalreporter.write_line(_line(block))

    def pytest_unconfigure(self) -> None:
        """Remove the folder of the locks."""
        if self._turns is not None:
            shutil.rmtree(self._turns, ignore_errors=True)


def _line(block: dict[str, Any]) -> str:
    name = f"{block['test']} {block['block']}"
    energy = block["energy_j"]
    if energy is None:
        return plain(f"{name}: no figure: {block['reason']}")
    interval = "no interval"
    if energy["low"] is not None:
        interval = f"95 %: {format_number(energy['low'])} to {format_number(energy['high'])}"
    invalid = "" if block["valid"] else f", not valid: {block['reason']}"
    joules = f"{format_number(energy['value'])} J"
    figure = f"{joules} ({interval}), {block['boundary']}, {block['provenance']}"
    return plain(f"{name}: {figure}{invalid}")
