"""The number of inferences of a span, set within it."""

from __future__ import annotations

import pytest

import permille
from permille.api.open_span import OpenSpan
from permille.errors import UsageError
from tests.powercap import Driver


@pytest.mark.measuring
def test_a_number_that_is_known_only_afterwards(machine: Driver) -> None:
    with permille.record() as rec:
        with rec.span("query") as span:
            assert span.inferences is None
            span.inferences = 3
        span.inferences = 5  # the span has ended: this changes nothing
    assert rec["query"].inferences == 3


@pytest.mark.parametrize("number", [0, -1, 1.5, True, None])
def test_what_is_not_a_number_of_inferences_is_refused(number: object) -> None:
    with pytest.raises(UsageError, match="inferences must be a whole number from 1 up"):
        OpenSpan().inferences = number  # type: ignore[assignment]
