"""The frozen records that all layers use, by what they tell of. They import no other part of
permille.

Units are in the names: ``t_ns`` is CLOCK_MONOTONIC in nanoseconds (``time.monotonic_ns``),
``energy_j`` joules, ``power_w`` watts. Missing is ``None``, never 0.
"""

from __future__ import annotations

from typing import Any, Literal, dataclass_transform

import msgspec

MOST = 1e30
"""The largest magnitude of any figure: squares and sums of them are still finite."""
LEAST = 1e-30
"""The smallest count, duration or energy above 0: what is divided by it is still finite."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _RecordMeta(msgspec.StructMeta):
    """msgspec's metaclass, with ``frozen`` and ``kw_only`` for every record: msgspec does not
    inherit ``kw_only``, and type checkers must know both. The garbage collector looks for cycles,
    which immutable records do not form: it need not go through millions of them."""

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any
    ) -> Any:
        plain = {"frozen": True, "kw_only": True, "gc": False}
        return super().__new__(mcls, name, bases, namespace, **(plain | config))


# A field's default may be {}: msgspec gives every record an empty dict of its own
# (https://jcristharif.com/msgspec/structs.html#default-values).
class Record(msgspec.Struct, metaclass=_RecordMeta):
    """Base of every record: immutable, with keyword-only arguments."""


class JsonOutput(Record, kw_only=True):
    """Base of every document that ``--json`` prints. ``schema`` is the version of its shape."""

    schema: Literal[1] = 1
