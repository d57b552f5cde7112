"""A span that has not ended."""

from __future__ import annotations

from typing import Any

from permille.errors import UsageError


class OpenSpan:
    """What ``with rec.span(…) as span`` gives, to set the number of inferences before it ends."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}

    @property
    def inferences(self) -> int | None:
        """The number of inferences; None: unknown.

        Raises:
            UsageError: it is set to what is not a whole number from 1 up.
        """
        return self.attributes.get("inferences")

    @inferences.setter
    def inferences(self, number: int) -> None:
        self.attributes["inferences"] = checked_inferences(number)


def checked_inferences(inferences: int) -> int:
    """A number of inferences.

    Raises:
        UsageError: it is not one.
    """
    # bool first: True is an int in Python, and would be one inference.
    if isinstance(inferences, bool) or not isinstance(inferences, int) or inferences < 1:
        raise UsageError(f"inferences must be a whole number from 1 up, not {inferences!r}")
    return inferences
