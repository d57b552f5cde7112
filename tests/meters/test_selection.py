"""Which meters are used, with real plug-ins on fake trees."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from permille import plugins
from permille.errors import UsageError
from permille.meters.selection import OpenedMeters, open_all
from tests.meters.test_replay import recording
from tests.powercap import FakePowercap


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PERMILLE_METERS", "PERMILLE_REPLAY", "PERMILLE_WALL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PERMILLE_POWERCAP", str(tmp_path / "powercap"))
    monkeypatch.setenv("LD_LIBRARY_PATH", "")


def names(opened: OpenedMeters) -> list[str]:
    got = [f"{m.name} {d.name}" for m in opened.meters for d in m.domains]
    opened.close()
    return got


def reasons(opened: OpenedMeters) -> dict[str, str]:
    return {unavailable.name: unavailable.reason for unavailable in opened.unavailable}


def test_without_a_counter_the_estimate_is_used(tmp_path: Path) -> None:
    opened = open_all()
    assert "estimate cpu:0" in names(opened)
    assert str(tmp_path / "powercap") in reasons(opened)["rapl"]


def test_beside_rapl_there_is_no_estimate_not_even_of_memory(tmp_path: Path) -> None:
    FakePowercap(tmp_path / "powercap", dram=False)
    opened = open_all()
    assert not any(name.startswith("estimate") for name in names(opened))
    assert "estimate" not in reasons(opened)


def test_a_named_estimate_fills_what_is_not_covered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakePowercap(tmp_path / "powercap", dram=False)
    monkeypatch.setenv("PERMILLE_METERS", "estimate, rapl")
    assert names(open_all()) == ["rapl cpu:0", "estimate dram:0"]


def test_a_named_estimate_is_left_out_where_all_is_measured(tmp_path: Path) -> None:
    FakePowercap(tmp_path / "powercap")
    opened = open_all(["rapl", "estimate"])
    assert names(opened) == ["rapl cpu:0", "rapl dram:0"]
    assert reasons(opened) == {"estimate": "everything that it could estimate is measured"}


def test_psys_covers_what_could_be_estimated(tmp_path: Path) -> None:
    FakePowercap(tmp_path / "powercap", packages=0, psys=True)
    assert names(open_all(["rapl", "estimate"])) == ["rapl psys"]


def test_a_named_meter_that_is_not_there_stays_unavailable(tmp_path: Path) -> None:
    (tmp_path / "powercap").mkdir(exist_ok=True)
    opened = open_all(["rapl"])
    assert opened.meters == ()
    assert opened.unavailable[0].name == "rapl"
    assert "modprobe" in opened.unavailable[0].remedy


@pytest.mark.parametrize(
    ("text", "hint"), [("rapI", "'rapl'"), ("nvlm", "'nvml'"), (" , ", "names no")]
)
def test_an_unknown_name_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, text: str, hint: str
) -> None:
    monkeypatch.setenv("PERMILLE_METERS", text)
    with pytest.raises(UsageError, match=hint):
        open_all()


def test_a_replay_is_not_mixed_with_live_meters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakePowercap(tmp_path / "powercap")
    path = tmp_path / "run.json"
    path.write_bytes(msgspec.json.encode(recording((1, 2), (0.0, 1.0))))
    monkeypatch.setenv("PERMILLE_REPLAY", str(path))
    assert names(open_all()) == ["replay cpu:0"]
    opened = open_all(["rapl", "replay"])  # both named: the same domain is not taken twice
    assert names(opened) == ["rapl cpu:0", "rapl dram:0"]
    assert reasons(opened) == {"replay": "cpu:0 is already provided by rapl"}


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package that registers a meter that works and one that does not."""
    folder = tmp_path / "site"
    metadata = folder / "acme-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[permille.meters]\nacme = acme:open_meter\nbroken = acme_absent:open_meter\n"
    )
    (folder / "acme.py").write_text(
        "from permille.meters.replay import ReplayMeter\n"
        "from tests.meters.test_replay import recording\n"
        "def open_meter():\n"
        "    return ReplayMeter(recording((1, 2), (0.0, 1.0)))\n"
    )
    with monkeypatch.context() as installed:
        installed.syspath_prepend(folder)
        _read_again()
        yield
    _read_again()


def _read_again() -> None:
    """What is installed has changed."""
    plugins._installed.cache_clear()
    plugins._registered.cache_clear()


@pytest.mark.usefixtures("third_party")
def test_a_third_partys_meter_is_like_our_own() -> None:
    opened = open_all()  # it has the processor, so nothing is estimated
    assert names(opened) == ["replay cpu:0"]
    assert "cannot be imported" in reasons(opened)["broken"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks into Linux's /proc")
def test_a_wrong_configuration_closes_what_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakePowercap(tmp_path / "powercap")
    monkeypatch.setenv("PERMILLE_REPLAY", str(tmp_path / "absent.json"))
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(UsageError, match="not a recording"):
        open_all(["rapl", "replay"])
    assert sorted(os.listdir("/proc/self/fd")) == before
