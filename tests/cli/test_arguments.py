"""Arguments that several commands share: what is no usable figure is refused in one line."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from permille.cli import dispatch
from permille.cli.arguments import address, intensity, not_negative_float, positive_float, pue
from permille.cli.arguments import seconds as seconds_of
from permille.errors import UsageError


@pytest.mark.parametrize(
    ("reads", "text", "words"),
    [
        (intensity, "1e308", "too large or too small"),
        (pue, "1e16", "too large or too small"),
        (positive_float, "1e-308", "too large or too small"),
        (not_negative_float, "-1e308", "too large or too small"),
        (positive_float, "inf", "not a positive number"),
        (positive_float, "nan", "not a positive number"),
        (positive_float, "0", "not a positive number"),
        (seconds_of, "1e10", "more than 30 days"),
    ],
)
def test_a_number_that_cannot_be_computed_with_is_refused(
    reads: Callable[[str], float], text: str, words: str
) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=words):
        reads(text)


def test_nothing_and_the_limits_are_numbers() -> None:
    assert intensity("0") == 0.0
    assert positive_float("1e15") == 1e15
    assert positive_float("1e-15") == 1e-15


@pytest.mark.parametrize("port", ["9" * 5000, "065536", "٨٠", "+80", "8_0", "0", "65536", ""])
def test_what_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(UsageError, match="neither PORT nor HOST:PORT"):
        address("--serve", port)


def test_an_address_with_and_without_a_host() -> None:
    assert address("--serve", "9464") == ("127.0.0.1", 9464)
    assert address("--serve", "0.0.0.0:9464") == ("0.0.0.0", 9464)
    assert address("--serve", "[::1]:80") == ("::1", 80)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["results", "--explain", "--json"], "--explain is a part of the table"),
        (["run", "quickstart", "--json", "--json-lines"], "both print to standard output"),
        (["run", "quickstart", "--dry-run", "--json", "--json-lines"], "leave one out"),
    ],
)
def test_an_option_that_another_would_leave_without_effect_is_refused(
    words: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        dispatch(words)


def test_what_a_command_lacks_is_what_it_needs() -> None:
    with pytest.raises(UsageError, match=r"required: action; see: permille store --help"):
        dispatch(["store"])
