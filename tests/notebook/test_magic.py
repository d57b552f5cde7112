"""The cell magic, in IPython's own shell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import permille
from permille.errors import UsageError
from permille.notebook import magic
from tests.conftest import POWER_W, holds
from tests.powercap import Driver


@pytest.fixture
def shell(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A shell without a history file."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def machine(
    powercap: Driver, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Driver]:
    for name in ("PERMILLE_POWERCAP", "PERMILLE_METERS", "TMPDIR"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.setattr("tempfile.tempdir", None)
    yield powercap
    monkeypatch.setattr("tempfile.tempdir", None)


@pytest.mark.measuring
def test_a_cell_is_measured_and_its_value_is_its_last_expression(
    machine: Driver, shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_line_magic("load_ext", "permille")
    cell = "import time\nruns = globals().get('runs', 0) + 1\ntime.sleep(0.3)\nruns"
    value = shell.run_cell_magic("energy", "-n 10 -r 2 -o spent --idle 0.2", cell)
    assert value == 2
    result = shell.user_ns["spent"]
    assert isinstance(result, permille.Result)
    assert (result.spans, result.inferences) == (2, 20)
    assert result.net is not None
    assert holds(result.energy, POWER_W * result.seconds)
    assert "<Result 'cell': " in capsys.readouterr().out


@pytest.mark.measuring
def test_an_exception_in_a_cell_is_raised_once_and_the_result_says_so(
    machine: Driver, shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    permille.load_ipython_extension(shell)
    with pytest.raises(ZeroDivisionError) as raised:
        shell.run_cell_magic("energy", "", "import time\ntime.sleep(0.3)\n1 / 0")
    assert "not valid; 1 of 1 spans ended with ZeroDivisionError" in capsys.readouterr().out
    assert raised.traceback[-1].lineno == 2


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording that would begin is an error."""

    def record(**settings: Any) -> Any:
        raise AssertionError("nothing may be measured")

    monkeypatch.setattr(magic, "record", record)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-n many", "invalid int value: 'many'"),
        ("-r 0", "-r must be a whole number from 1 up"),
        ("-o not-a-name", "'not-a-name' is not the name of a variable"),
        ("--boundary room", "invalid choice: 'room'"),
        ("quickly", "unrecognized arguments: quickly"),
    ],
)
def test_a_wrong_option_is_one_line_and_the_cell_does_not_run(
    shell: Any, line: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        magic.run_cell(shell, line, "ran = True")
    assert "\n" not in str(refused.value)
    assert "ran" not in shell.user_ns


@pytest.mark.usefixtures("unmeasured")
def test_a_cell_that_awaits_is_refused(shell: Any) -> None:
    cell = "import asyncio\nawait asyncio.sleep(1)"
    with pytest.raises(UsageError, match=r"async with permille\.record"):
        magic.run_cell(shell, "", cell)


@pytest.mark.usefixtures("unmeasured")
def test_a_cell_with_a_mistake_is_a_syntax_error_before_measuring(shell: Any) -> None:
    with pytest.raises(SyntaxError):
        magic.run_cell(shell, "", "for = 1")


@pytest.mark.usefixtures("unmeasured")
def test_the_shell_shows_a_refusal_in_one_line(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    permille.load_ipython_extension(shell)
    shell.run_cell("%%energy -r 0\n1")
    output = capsys.readouterr()
    assert "UsageError: %%energy: -r must be a whole number from 1 up" in output.out + output.err
    assert "Traceback" not in output.out + output.err
