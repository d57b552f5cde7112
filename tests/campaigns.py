"""How large a campaign is: `make test` runs each at a size that takes seconds, `make campaigns` at
its full one."""

from __future__ import annotations

import os

FULL = os.environ.get("PERMILLE_CAMPAIGNS") == "full"


def size(small: int, full: int) -> int:
    """That of this run."""
    return full if FULL else small
