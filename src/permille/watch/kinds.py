"""Which counters a kind of server publishes: the table that ships, and a user's own file."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from permille.errors import UsageError
from permille.records import Record

MAX_BYTES = 64 << 10
"""The most that a mapping file may have."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


# Unknown keys are refused: a misspelt one would be a quantity that is unknown without a word.
class ServerKind(Record, forbid_unknown_fields=True):
    """The names of a server's metrics. ``model`` is the label that names the model; ``except_`` has
    the values of labels of requests that did not end well; ``running`` are gauges of requests in
    work or waiting. A quantity without a name is unknown. ``counts_steps``: a request that is
    answered by several models in turn may be counted for each of them."""

    recognised_by: Name
    requests: Name | None = None
    except_: dict[str, list[str]] = msgspec.field(default={}, name="except")
    input_tokens: Name | None = None
    output_tokens: Name | None = None
    running: tuple[Name, ...] = ()
    model: Name | None = None
    counts_steps: bool = False
    counted: str = "at a time that the server's kind does not state"
    source: str = ""

    def names(self) -> dict[str, str]:
        """The names of the counters and gauges, each with its role."""
        named = {
            self.requests: "requests",
            self.input_tokens: "input_tokens",
            self.output_tokens: "output_tokens",
        }
        roles = {name: role for name, role in named.items() if name is not None}
        return roles | dict.fromkeys(self.running, "running")


@functools.cache
def kinds() -> dict[str, ServerKind]:
    """The kinds of server that ship with permille, by name."""
    text = resources.files(__package__).joinpath("kinds.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, ServerKind])


def recognise(names: Iterable[str]) -> str | None:
    """The kind of server that publishes metrics of these names; None if none is known to."""
    published = set(names)
    for kind, server in kinds().items():
        if any(name.startswith(server.recognised_by) for name in published):
            return kind
    return None


def mapping(path: Path) -> ServerKind:
    """The kind of server that a user's TOML file describes, with the keys of ``kinds.toml``.

    Raises:
        UsageError: the file cannot be read, or is not such a file.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read --mapping {path}: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise UsageError(f"--mapping {path} has more than {MAX_BYTES >> 10} KiB")
    try:
        # A user's kind is named on the command line, and need not be recognised.
        table = {"recognised_by": "-"} | tomllib.loads(content.decode())
        kind = msgspec.convert(table, ServerKind)
    except (ValueError, msgspec.ValidationError) as error:
        raise UsageError(f"--mapping {path}: {error}; its keys are in docs/watch.md") from error
    if kind.requests is None and kind.output_tokens is None:
        raise UsageError(
            f"--mapping {path} names neither requests nor output_tokens: add at least one of them"
        )
    return kind
