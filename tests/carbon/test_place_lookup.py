"""A place is found exactly, or refused with what is near; hostile text stays text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.carbon.lookup import LONGEST, find, fold, suggest
from permille.carbon.table import grid_table
from permille.errors import CarbonError


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FRA", "FRA"),
        ("fr", "FRA"),
        (" France ", "FRA"),
        ("FRANCE", "FRA"),
        ("UK", "GBR"),
        ("Great Britain", "GBR"),
        ("USA", "USA"),
        ("U.S.A.", "USA"),
        ("us", "USA"),
        ("the United States of America", "USA"),
        ("South Korea", "KOR"),
        ("Republic of Korea", "KOR"),
        ("Côte d\N{RIGHT SINGLE QUOTATION MARK}Ivoire", "CIV"),
        ("cote d'ivoire", "CIV"),
        ("Türkiye", "TUR"),
        ("Réunion", "REU"),
        ("Kosovo", "XKX"),
        ("NA", "NAM"),
        ("US-CA", "US-CA"),
        ("us ca", "US-CA"),
        ("california", "US-CA"),
        ("New York", "US-NY"),
        ("quebec", "CA-QC"),
        ("Québec, Canada", "CA-QC"),
        ("Beijing", "CN-BJ"),
        ("aws/us-west-2", "aws/us-west-2"),
        ("AWS/US-WEST-2", "aws/us-west-2"),
        ("gcp/us-west2", "gcp/us-west2"),
        ("PJM", "US-MIDA-PJM"),
        ("North Sweden, Sweden", "SE-SE1"),
        ("world", "WORLD"),
        ("Trinidad & Tobago", "TTO"),
        ("Bosnia&Herzegovina", "BIH"),
        ("the Gambia", "GMB"),
        ("THE WORLD", "WORLD"),
    ],
)
def test_found(text: str, code: str) -> None:
    assert find(text).code == code


def test_every_code_finds_its_own_place() -> None:
    for code in grid_table().places:
        assert find(code).code == code
        assert find(code.swapcase()).code == code


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Korea", "KOR (South Korea) or PRK (North Korea)"),
        ("Congo", "COD (Democratic Republic of Congo) or COG (Congo)"),
        ("Georgia", "GEO (Georgia) or US-GA (Georgia, United States)"),
    ],
)
def test_ambiguous_names_are_listed_not_chosen(text: str, named: str) -> None:
    with pytest.raises(CarbonError) as refused:
        find(text)
    assert str(refused.value) == f"{text!r} could be {named}: use the code"


def test_suggestions_are_listed_the_nearest_first() -> None:
    with pytest.raises(CarbonError) as refused:
        find("Swedn")
    assert str(refused.value) == (
        "no grid intensity for the region 'Swedn';"
        " did you mean SWE (Sweden), SEN (Senegal), SDN (Sudan)?"
    )


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("Frnace", "FRA"),
        ("Polnd", "POL"),
        ("NY", "US-NY"),
        ("us-west-2", "aws/us-west-2"),
        ("West Virgina", "US-WV"),
        ("Swedn", "SWE"),
        ("Rep of Korea", "KOR"),
    ],
)
def test_unknown_names_get_suggestions(text: str, near: str) -> None:
    with pytest.raises(CarbonError, match="did you mean") as refused:
        find(text)
    assert near in str(refused.value)


@pytest.mark.parametrize("text", ["Atlantis", "", "   ", "!!!", "12345", "East"])
def test_no_place_is_ever_a_default(text: str) -> None:
    with pytest.raises(CarbonError, match="no grid intensity"):
        find(text)


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mFrance",
        "France\nPoland",
        "<script>alert(1)</script>",
        "'; DROP TABLE trials; --",
        "../../etc/passwd",
        "\u202eecnarF",
        "France\x00",
        "[bold]x[/bold]",
    ],
)
def test_hostile_names_are_inert(text: str) -> None:
    with pytest.raises(CarbonError) as refused:
        find(text)
    assert str(refused.value).isprintable()  # no escape, newline or bidirectional override


def test_a_long_text_is_refused_unread() -> None:
    with pytest.raises(CarbonError, match="at most 100 characters"):
        find("x" * (LONGEST + 1))
    with pytest.raises(CarbonError, match=r"no grid intensity .*; see: permille regions"):
        find("x" * LONGEST)


def test_a_control_character_is_named_as_the_reason() -> None:
    with pytest.raises(CarbonError, match="it contains control characters"):
        find("Fra\x07nce")


def test_the_alone_is_a_word() -> None:
    assert fold("The") == "the"
    assert fold("the the") == "the"


def refusal(text: str) -> str | None:
    try:
        find(text)
    except CarbonError as refused:
        return str(refused)
    return None


@given(st.text(max_size=120))
def test_any_text_finds_a_place_or_says_why_not_on_one_harmless_line(text: str) -> None:
    message = refusal(text)
    assert message is None or message.isprintable()


@given(st.text(max_size=60))
def test_folding_twice_changes_nothing_but_a_leading_the(text: str) -> None:
    folded = fold(text)
    assert folded == folded.strip()
    assert "  " not in folded
    if not folded.startswith("the "):
        assert fold(folded) == folded


def test_suggestions_are_few() -> None:
    assert len(suggest("united", most=3)) == 3
    assert len(suggest("united")) == 5
    assert suggest("") == []


def test_of_names_that_hold_a_word_the_shortest_come_first() -> None:
    assert suggest("united", most=2) == ["USA", "GBR"]  # then "Midwest …", "… Arab Emirates"


def test_four_letters_may_begin_a_name() -> None:
    assert suggest("mada")[0] == "MDG"
    assert "MDG" not in suggest("mad")


@pytest.mark.parametrize(("text", "near"), [("polnd", ["POL"]), ("gremany", ["DEU"])])
def test_what_is_only_a_little_alike_is_not_suggested(text: str, near: list[str]) -> None:
    """Not the Netherlands, NLD, for Poland, nor Greenland for Germany."""
    assert suggest(text) == near
