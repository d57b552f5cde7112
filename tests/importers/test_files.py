from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from permille.errors import ImportDataError
from permille.importers.reading import files
from permille.importers.reading.files import Source

CONTENT = b"a,b\n1,2\n"


def read(path: Path) -> tuple[dict[str, bytes], list[tuple[str, str]]]:
    """Every member's content, and what was refused with the reason."""
    refused: list[tuple[str, str]] = []
    found = {
        member.name: member.stream.read()
        for member in Source(path).members(lambda name, _, reason: refused.append((name, reason)))
    }
    return found, refused


def tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_one_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(CONTENT)
    assert read(path) == ({"x.csv": CONTENT}, [])


def test_a_packed_file(tmp_path: Path) -> None:
    for name, packed in {
        "x.csv.gz": gzip.compress(CONTENT),
        "x.csv.xz": lzma.compress(CONTENT),
        "x.csv.bz2": bz2.compress(CONTENT),
    }.items():
        path = tmp_path / name
        path.write_bytes(packed)
        assert read(path) == ({"x.csv": CONTENT}, [])


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_tar_archives_of_every_packing(tmp_path: Path, mode: str) -> None:
    members = {f"f/{i}.csv": b"x" * i for i in (0, 1, 511, 512, 513, 100_000)}
    assert read(tar(tmp_path / "a.tar", members, mode)) == (members, [])


def test_a_zip_archive(tmp_path: Path) -> None:
    members = {"f/a.csv": CONTENT, "b.csv": b""}
    assert read(zipped(tmp_path / "a.zip", members)) == (members, [])


def test_members_that_are_not_read_are_skipped(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar.gz", {"a": b"1" * 1000, "b": b"2", "c": b"3" * 2000}, "w:gz")
    kept = [m.stream.read() for m in Source(path).members(lambda *_: None) if m.name == "c"]
    assert kept == [b"3" * 2000]


def test_a_folder_in_order_without_following_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "b").mkdir(parents=True)
    (root / "b" / "2.csv").write_bytes(b"2")
    (root / "a.csv").write_bytes(b"1")
    outside = tmp_path / "secret.csv"
    outside.write_bytes(b"secret")
    (root / "link.csv").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.csv")
    found, refused = read(root)
    assert found == {"a.csv": b"1", "b/2.csv": b"2"}
    assert sorted(name for name, _ in refused) == ["folder", "link.csv", "pipe.csv"]


def test_a_file_that_vanishes_meanwhile_is_named(tmp_path: Path) -> None:
    for name in ("1.csv", "2.csv", "3.csv"):
        (tmp_path / name).write_bytes(CONTENT)
    refused: list[str] = []
    names = []
    for member in Source(tmp_path).members(lambda name, *_: refused.append(name)):
        names.append(member.name)
        (tmp_path / "2.csv").unlink(missing_ok=True)
    assert (names, refused) == (["1.csv", "3.csv"], ["2.csv"])


CLIMBING = ["../up.csv", "/etc/passwd", "a/../../b.csv", "C:/x.csv", "..\\up.csv"]


@pytest.mark.parametrize("name", CLIMBING)
def test_paths_that_climb_out_are_refused_by_name(tmp_path: Path, name: str) -> None:
    good = {"ok.csv": CONTENT}
    for path in (
        tar(tmp_path / "a.tar", {name: b"x", **good}),
        zipped(tmp_path / "a.zip", {name: b"x", **good}),
    ):
        found, refused = read(path)
        assert found == good
        assert [reason for _, reason in refused] == ["its path leads out of the archive"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("evil.csv")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    found, refused = read(path)
    assert found == {}
    assert refused[0][0] == "evil.csv"
    assert "not a plain file" in refused[0][1]


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("evil.csv")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    found, refused = read(tmp_path / "a.zip")
    assert found == {}
    assert "not a plain file" in refused[0][1]


def test_bombs_stop_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FREE_BYTES", 1 << 20)
    zeros = {"z.csv": bytes(8 << 20)}
    bombs = [tar(tmp_path / "b.tar.xz", zeros, "w:xz"), zipped(tmp_path / "b.zip", zeros)]
    lone = tmp_path / "b.csv.xz"
    lone.write_bytes(lzma.compress(bytes(8 << 20)))
    for path in (*bombs, lone):
        with pytest.raises(ImportDataError, match="unpacks to more than"):
            drain(path)


def test_a_bomb_that_is_only_skipped_stops_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "FREE_BYTES", 1 << 20)
    path = tar(tmp_path / "b.tar.xz", {"z": bytes(8 << 20), "a": b"1"}, "w:xz")
    with pytest.raises(ImportDataError, match="unpacks to more than"):
        list(Source(path).members(lambda *_: None))


def drain(path: Path) -> int:
    size = 0
    for member in Source(path).members(lambda *_: None):
        while chunk := member.stream.read(1 << 16):
            size += len(chunk)
    return size


def test_a_tar_header_that_claims_much_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    with pytest.raises(ImportDataError, match="header"):
        drain(path)


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_MEMBERS", 3)
    members = {str(i): b"" for i in range(4)}
    for path in (tar(tmp_path / "a.tar", members), zipped(tmp_path / "a.zip", members)):
        with pytest.raises(ImportDataError, match="more than 3 members"):
            drain(path)


def test_a_truncated_tar_is_no_bomb(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {f"{i}.csv": bytes(100_000) for i in range(3)})
    whole = path.read_bytes()
    for cut in (50_000, 150_000):
        path.write_bytes(whole[:cut])
        with pytest.raises(ImportDataError, match="unexpected end of data"):
            list(Source(path).members(lambda *_: None))


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2"])
def test_a_truncated_archive_gives_what_it_has_and_then_says_so(tmp_path: Path, mode: str) -> None:
    members = {f"{i}.csv": os.urandom(5000) for i in range(50)}
    path = tar(tmp_path / "a.tar", members, mode)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImportDataError, match="cannot be read to its end"):
        drain(path)


def test_an_encrypted_or_damaged_zip_is_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.csv": b"x" * 1000})
    damaged = bytearray(path.read_bytes())
    damaged[45] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(ImportDataError, match="cannot be read to its end"):
        drain(path)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ImportDataError, match="there is no file or folder"):
        Source(tmp_path / "nothing")


def test_pipes_and_devices_are_refused_before_they_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ImportDataError, match="a pipe or a device"):
            Source(path)
