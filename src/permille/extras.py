"""Report a missing optional dependency in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from permille.errors import UsageError


@contextmanager
def extra(name: str, purpose: str) -> Iterator[None]:
    """A context for imports of packages of the extra ``name``.

    Raises:
        UsageError: one of them is not installed; the message has the command that installs it.
    """
    try:
        yield
    except ImportError as error:
        # A module of permille's own that cannot be imported is a bug, not a missing package.
        if error.name is not None and error.name.partition(".")[0] == __package__:
            raise
        raise UsageError(
            f"{purpose} needs {error.name or error}: pip install 'permille[{name}]'"
        ) from error
