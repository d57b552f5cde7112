"""argparse with one-line errors that say how to correct the command."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from permille.errors import UsageError
from permille.suggestions import nearest, similar


class Parser(argparse.ArgumentParser):
    """The parser of one command. ``habits`` maps options of similar tools to permille's;
    ``takes_command``: positional words are another program's command line."""

    def __init__(
        self,
        *,
        habits: Mapping[str, str] | None = None,
        takes_command: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self._habits, self._takes_command = habits or {}, takes_command
        self.given: set[str] = set()
        # An argument without an action is registered under None.
        for action in (None, "store"):
            self.register("action", action, Once)

    def error(self, message: str) -> NoReturn:
        """Raise an error instead of printing the usage."""
        raise UsageError(f"{message}; see: {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """argparse lists every choice, of which an exporter has eighteen."""
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(action, f"no {str(value)!r}; {nearest(str(value), known)}")

    def parse(self, words: Sequence[str], namespace: argparse.Namespace) -> argparse.Namespace:
        """Parse the arguments.

        Raises:
            UsageError: they are wrong; the message suggests a correction.
        """
        # parse_args() would end with a list of the rest, without a suggestion.
        parsed, extra = self.parse_known_args(words, namespace)
        if not extra:
            return parsed
        if self._takes_command and not extra[0].startswith("-"):
            cut = words.index(extra[0])
            line = shlex.join([*words[:cut], "--", *words[cut:]])
            raise UsageError(f"a command goes after --: {self.prog} {line}")
        if extra[0].startswith("-") and (near := self._near(extra[0].partition("=")[0])):
            raise UsageError(f"there is no option {extra[0]}; did you mean {near}?")
        return self.error(f"unrecognized arguments: {' '.join(extra)}")

    def _near(self, option: str) -> str | None:
        """Known options that are similar."""
        known = list(self._option_string_actions)
        if option in self._habits:
            return self._habits[option]
        if not option.startswith("--"):
            # Of -x, the long options that begin with x: "-" before "-x" is "--x".
            return " or ".join(o for o in known if o.startswith(f"-{option[:2]}"))
        return next(iter(similar(option, known, 1)), None)


class Once(argparse._StoreAction):
    """An option with one value. Given twice, argparse would silently drop the first."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Take the value."""
        # A positional argument, which has no option string, cannot be given twice.
        if option_string is not None and isinstance(parser, Parser):
            if self.dest in parser.given:
                raise argparse.ArgumentError(self, "given more than once; it takes one value")
            parser.given.add(self.dest)
        super().__call__(parser, namespace, values, option_string)
