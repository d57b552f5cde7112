"""``permille completion SHELL``: print a script that completes commands and options."""

from __future__ import annotations

import argparse
from pathlib import Path

from permille import cli
from permille.extras import extra

EXAMPLES = """examples:
  source <(permille completion bash)                        in this shell
  permille completion bash > ~/.local/share/bash-completion/completions/permille
  permille completion zsh > ~/.zfunc/_permille              in a folder on your fpath
  permille completion fish > ~/.config/fish/completions/permille.fish
"""
_FILES = {"FILE", "PATH", "STUDY"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille completion``."""
    parser.epilog = EXAMPLES
    parser.add_argument("shell", choices=["bash", "zsh", "tcsh", "fish"], help="the shell")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    with extra("completion", "shell completion"):
        import shtab
    root = _every_command()
    _complete_paths(root, shtab.FILE, shtab.DIRECTORY)
    print(shtab.complete(root, shell=args.shell))
    return 0


def _every_command() -> argparse.ArgumentParser:
    """All commands under one parser, as shtab needs. permille itself only builds the parser of the
    command that is used, for a fast start."""
    root = argparse.ArgumentParser(prog="permille")
    root.add_argument("-V", "--version", action="version", help="the version of permille")
    commands = root.add_subparsers(parser_class=argparse.ArgumentParser)
    # Each parser has its own -h, which it brings along as a parent: a second one would be refused.
    for name, help_ in cli.COMMANDS.items():
        parser = cli.parser_of(name)
        commands.add_parser(
            name, help=help_, description=parser.description, parents=[parser], add_help=False
        )
    return root


def _complete_paths(parser: argparse.ArgumentParser, file: object, folder: object) -> None:
    for action in parser._actions:
        # argparse has no public way to walk its arguments.
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                _complete_paths(inner, file, folder)
        elif action.metavar == "DIR":
            # The attribute that shtab reads, which argparse's types do not have.
            vars(action)["complete"] = folder
        elif action.type is Path or action.metavar in _FILES:
            vars(action)["complete"] = file
