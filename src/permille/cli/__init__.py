"""The command line: parse, call, print. Each command is a module, imported when it is named."""

from __future__ import annotations

import argparse
import errno
import importlib
import sys
from typing import NoReturn, Protocol

from permille.cli.parser import Parser
from permille.cli.streams import OutputLostError, drop_output, open_streams, tell
from permille.errors import PermilleError, UsageError
from permille.suggestions import nearest
from permille.version import __version__

# Here and not in the modules: --help would have to import them all (docs/decisions/05-argparse.md).
COMMANDS = {
    "run": "measure a study: a file or a preset",
    "measure": "energy of any command, like hyperfine for joules",
    "gate": "fail a build whose energy goes up, by the ratio's interval",
    "watch": "a server in production, live: Wh per 1,000 requests, joules per token",
    "agent": "this machine's recorder, for a run on another machine",
    "meters": "what can be measured here, how well, and how to unlock the rest",
    "results": "the table: energy, carbon, quality and latency per 1,000 inferences",
    "trial": "everything stored with one trial: spans, energy, settings, failures",
    "compare": "the ratio of two models, with its interval",
    "slo": "the cheapest load of a server that keeps a latency promise",
    "parity": "the number of inferences that use as much energy as training",
    "reproduce": "the paper's tables, recomputed from its data, next to the published ones",
    "audit": "what a study's numbers rest on",
    "explore": "all figures in the browser: filters, sliders, comparisons",
    "import": "import other tools' measurements as trials",
    "regions": "the regions with a known grid intensity",
    "presets": "the studies that ship with permille",
    "study": "check a study file without measuring anything",
    "store": "check, repair or merge stores",
    "export": "the results as CSV, JSON, a web page, or the energy section of a model card",
    "assets": "fetch the models and data of the quick start",
    "completion": "a script for your shell that completes commands and options",
}


TAKE_COMMANDS = ("measure", "gate")
"""Commands whose arguments after ``--`` are other programs' command lines."""

_MODULES = {"import": "import_"}
"""Commands whose name is a Python keyword, and the name of their module."""


class Command(Protocol):
    """A command module."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add this command's arguments."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Run the command; return the exit code."""
        ...


def module_of(name: str) -> str:
    """The module of a command."""
    return f"permille.cli.commands.{_MODULES.get(name, name)}"


def _command(name: str) -> Command:
    return importlib.import_module(module_of(name))


def make_parser(name: str, command: Command) -> Parser:
    """The parser of one command's arguments."""
    parser = Parser(
        prog=f"permille {name}",
        description=f"{COMMANDS[name]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # An abbreviation in somebody's script would become ambiguous with the next option.
        allow_abbrev=False,
        habits=getattr(command, "HABITS", {}),
        takes_command=name in TAKE_COMMANDS,
    )
    command.configure(parser)
    return parser


def _top_level_help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {help_}" for name, help_ in COMMANDS.items()]
    return "\n".join(
        [
            "What do 1,000 inferences cost? permille measures it and states the uncertainty.",
            "",
            "usage: permille COMMAND [options]        permille COMMAND --help for one command",
            "",
            *lines,
            "",
            "try:   permille meters                   what this machine can measure",
            "       permille run quickstart           two small classifiers and an LLM, here, now",
            "       permille measure -- sleep 1       the energy of any command",
        ]
    )


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of one command, with all its arguments."""
    return make_parser(name, _command(name))


def dispatch(argv: list[str]) -> int:
    """Run the command that ``argv`` names; return the exit code.

    Raises:
        PermilleError: any error that permille reports, with its exit code.
    """
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_top_level_help())
        return 0
    if argv[0] in ("-V", "--version"):
        print(f"permille {__version__}")
        return 0
    name = argv[0]
    if name not in COMMANDS:
        raise UsageError(f"no command {name!r}; {nearest(name, COMMANDS, 'see: permille --help')}")
    command = _command(name)
    parser = make_parser(name, command)
    rest = argv[1:]
    after: list[str] = []
    if name in TAKE_COMMANDS and "--" in rest:
        # Everything after -- is another program's command line: argparse must not parse it.
        cut = rest.index("--")
        rest, after = rest[:cut], rest[cut + 1 :]
    # The words go on to the nodes of an engine, which make the same plan from them.
    args = parser.parse(rest, argparse.Namespace(command=after, words=rest))
    # What measures another program's command line reads no store.
    if getattr(args, "store_url", None) is not None and not after:
        from permille.cli.object_storage import fetch

        fetch(name, args)
    return command.run(args)


def main() -> NoReturn:
    """The ``permille`` program."""
    open_streams()
    try:
        code = dispatch(sys.argv[1:])
        # Here, where a failure is told: Python's own last flush prints a traceback and makes the
        # exit code 120 (https://docs.python.org/3/library/sys.html#sys.exit).
        sys.stdout.flush()
    except PermilleError as error:
        from permille.escaping import plain

        tell(f"permille: {plain(str(error))}")
        code = error.exit_code
    except KeyboardInterrupt:
        tell("permille: interrupted")
        # As shells say that SIGINT (2) ended a program: 128 + 2.
        code = 130
    except OutputLostError as error:  # any other OSError is a bug of ours: it keeps its traceback
        drop_output()
        code = 0  # the reader has gone (`permille results | head`), so there is nobody to report to
        if error.errno != errno.EPIPE:
            tell(f"permille: cannot write the output: {error.strerror}")
            code = 1
    sys.exit(code)
