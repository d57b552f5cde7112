"""Embodied carbon of accelerators: known ones alone, each with its source and uncertainty."""

from __future__ import annotations

import pytest

from permille.carbon.accelerators import ACCELERATORS, embodied_of, share_g
from permille.errors import CarbonError
from tests.docs.pages import DOCS


def test_a_known_accelerator_by_its_name_in_any_case() -> None:
    share = embodied_of("h100-sxm-80gb", 4)
    assert (share.device, share.embodied_kg, share.uncertainty) == ("H100-SXM-80GB", 164.0, 0.6)
    assert "NVIDIA HGX H100" in share.source
    assert "without their host" in share.scope


def test_the_figures_of_one_are_an_eighth_of_the_published_baseboard() -> None:
    assert ACCELERATORS["H100-SXM-80GB"].embodied_kg * 8 == 1312
    assert ACCELERATORS["B200-SXM"].embodied_kg * 8 == 2274


def test_the_page_lists_every_figure() -> None:
    page = (DOCS / "carbon.md").read_text(encoding="utf-8")
    for name, accelerator in ACCELERATORS.items():
        assert f"| {name} | {accelerator.embodied_kg:g} |" in page


def test_the_share_is_that_of_the_time() -> None:
    share = embodied_of("A100-SXM-40GB", 4)
    hours = 4 * 365 * 24
    assert share_g(share, 1, 3600) == pytest.approx(127_600 / hours)
    assert share_g(share, 8, 1800) == pytest.approx(4 * share_g(share, 1, 3600))


@pytest.mark.parametrize(
    ("device", "hint"),
    [
        ("H100-SXM", "did you mean H100-SXM-80GB?"),
        ("NVIDIA H100 SXM", "did you mean H100-SXM-80GB?"),  # half of its letters
        ("a toaster", "known: A100-PCIE-40GB, A100-SXM-40GB, B200-SXM"),
    ],
)
def test_an_unknown_device_is_refused_by_name(device: str, hint: str) -> None:
    with pytest.raises(CarbonError, match=r"no embodied carbon is known of '") as raised:
        embodied_of(device, 4)
    assert device in str(raised.value)
    assert hint in str(raised.value)


@pytest.mark.parametrize("years", [0.0, -1.0, float("nan")])
def test_an_impossible_lifespan_is_refused(years: float) -> None:
    with pytest.raises(CarbonError, match="lifespan"):
        embodied_of("B200-SXM", years)
