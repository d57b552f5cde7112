"""The study's published figures as printed, and the rule for when a computed figure matches.

Facts from Luccioni, Jernite, Strubell, FAccT 2024, tables 2, 3 and 5 and the text. They are stored
as printed, because the digits show the intended precision.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Literal, NamedTuple

Agreement = Literal["rounded", "cut off"]


class Mean(NamedTuple):
    """A row of table 2: kWh per 1,000 queries of task-specific models."""

    kwh: str
    sd: str


class General(NamedTuple):
    """A row of table 3: a general-purpose model over its three tasks, per 1,000 queries."""

    name: str
    co2e_g: str
    kwh: str


class Parity(NamedTuple):
    """A column of table 5; kWh, and inferences to parity."""

    training: float
    fine_tuning: float
    inference: str
    inferences: int


TABLE_2 = {
    "text-classification": Mean(".002", ".001"),
    "question-answering": Mean(".003", ".001"),
    "fill-mask": Mean(".003", ".001"),
    "token-classification": Mean(".004", ".002"),
    "image-classification": Mean(".007", ".001"),
    "object-detection": Mean(".038", ".02"),
    "text-generation": Mean(".047", ".03"),
    "summarization": Mean(".049", ".01"),
    "image-to-text": Mean(".063", ".02"),
    "text-to-image": Mean("2.907", "3.31"),
}

TABLE_3 = {
    "google/flan-t5-base": General("Flan-T5-base", "3.67", "0.026"),
    "google/flan-t5-large": General("Flan-T5-large", "7.68", "0.055"),
    "google/flan-t5-xl": General("Flan-T5-xl", "8.08", "0.058"),
    "google/flan-t5-xxl": General("Flan-T5-xxl", "11.48", "0.083"),
    "bigscience/bloomz-560m": General("BLOOMz-560M", "7.5", "0.054"),
    "bigscience/bloomz-1b7": General("BLOOMz-1B", "8.66", "0.062"),
    "bigscience/bloomz-3b": General("BLOOMz-3B", "10.17", "0.073"),
    "bigscience/bloomz-7b1": General("BLOOMz-7B", "14.46", "0.104"),
}

TABLE_5 = {
    "bigscience/bloomz-7b1": Parity(51_686, 7_571, "1.0e-4", 592_570_000),
    "bigscience/bloomz-3b": Parity(25_634, 3_242, "7.3e-5", 395_602_740),
    "bigscience/bloomz-1b7": Parity(17_052, 1_081, "6.2e-5", 292_467_741),
    "bigscience/bloomz-560m": Parity(10_505, 543, "5.4e-5", 204_592_592),
}


def agreement(computed: float | None, printed: str) -> Agreement | None:
    """How ``computed`` matches the printed digits: rounded half up, or cut off; None: neither.

    Both occur in the study's tables (0.0265 kWh is printed as 0.026, 0.0827 as 0.083), so both
    count as a match.

    >>> agreement(0.0265, "0.026"), agreement(0.0827, "0.083"), agreement(0.0273, "0.026")
    ('cut off', 'rounded', None)
    """
    if computed is None:
        return None
    target = Decimal(printed)
    step = Decimal(1).scaleb(int(target.as_tuple().exponent))
    # Further apart than rounding or cutting off could make them; and quantize has no room for more
    # than 28 digits.
    if abs(computed - float(printed)) > 2 * step:
        return None
    # By repr: the float 0.0265 itself is a little less, and would not be rounded half up.
    value = Decimal(repr(computed))
    if value.quantize(step, ROUND_HALF_UP) == target:
        return "rounded"
    return "cut off" if value.quantize(step, ROUND_DOWN) == target else None
