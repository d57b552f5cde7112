"""A store in object storage: every trial once, whole, whatever interrupts; objects are hostile."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import pytest

from permille.errors import StoreError, UsageError
from permille.records.machine import MachineSession, MachineState
from permille.records.recording import Span
from permille.records.trial import Trial
from permille.store import Raw, Store
from permille.store.cloud.body import Content, decode, encode
from permille.store.cloud.bucket import Bucket, check_url
from permille.store.cloud.mirror import MirroredStore, local_path, pull, push
from tests.conftest import PATIENCE_S
from tests.records import trial

RAW = Raw(spans=(Span(name="query", t0_ns=0, t1_ns=10),), durations_ns=(4, 5))


def measured(number: int, **changed: Any) -> Trial:
    plain: dict[str, Any] = {"uid": f"{number:032x}", "session": "s1", "block": 0}
    return msgspec.structs.replace(trial(1.0 + number, repeat=number), **(plain | changed))


def session(**changed: Any) -> MachineSession:
    plain = MachineSession(
        id="s1",
        machine="m",
        boot="b",
        started="2026-01-01T00:00:00+00:00",
        ended="2026-01-01T00:00:00+00:00",
        state=MachineState(),
    )
    return msgspec.structs.replace(plain, **changed)


def everything(path: Path) -> dict[str, tuple[Trial, Raw | None]]:
    with Store(path, readonly=True) as store:
        return {one.uid: (one, store.raw(one.uid)) for one in store.trials(rounds="all")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bucket"


@pytest.fixture
def bucket(folder: Path) -> Bucket:
    return Bucket(f"file://{folder}", creates=True)


def sealed(payload: bytes) -> bytes:
    return b"permille trial 1\n" + blake2b(payload, digest_size=32).digest() + payload


def test_another_machine_reads_what_a_run_put(tmp_path: Path, bucket: Bucket) -> None:
    mine, theirs = tmp_path / "mine.db", tmp_path / "theirs.db"
    failed = measured(3, status="failed", reason="no memory", round=2)
    with MirroredStore(mine, bucket) as store:
        store.put_session(session())
        for one in (measured(1), measured(2), failed):
            assert store.add(one, RAW)
            assert bucket.get(one.uid)
    assert pull(theirs, bucket) == (3, 0, ())
    assert everything(theirs) == everything(mine)
    with Store(theirs, readonly=True) as store:
        assert store.sessions() == [session()]
        assert set(store.starts().values()) == {2}
    assert pull(theirs, bucket) == (0, 0, ())
    assert everything(theirs) == everything(mine)


def test_trials_that_nodes_made_are_put_too(tmp_path: Path, bucket: Bucket) -> None:
    mine, theirs = tmp_path / "mine.db", tmp_path / "theirs.db"
    with MirroredStore(mine, bucket) as store:
        store.take_in_sessions([session()])
        assert store.take_in([(measured(1), RAW), (measured(2), RAW)]).new == 2
    assert pull(theirs, bucket).new == 2
    assert everything(theirs) == everything(mine)


def test_only_new_objects_are_fetched(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MirroredStore(tmp_path / "mine.db", bucket) as store:
        store.add(measured(1), RAW)
        pull(tmp_path / "theirs.db", bucket)
        store.add(measured(2), RAW)
    fetched: list[str] = []
    get = bucket.get

    def counted(uid: str) -> bytes:
        fetched.append(uid)
        return get(uid)

    monkeypatch.setattr(bucket, "get", counted)
    pull(tmp_path / "theirs.db", bucket)
    assert fetched == [measured(2).uid]


def test_a_refused_upload_keeps_the_trial_and_the_next_run_puts_it(
    tmp_path: Path, folder: Path, bucket: Bucket
) -> None:
    path = tmp_path / "mine.db"
    (folder / "trials").write_text("a file where the objects' folder should be")
    with (
        MirroredStore(path, bucket) as store,
        pytest.raises(StoreError, match=r"finished trial is kept in .*mine\.db") as refused,
    ):
        store.add(measured(1), RAW)
    assert "\n" not in str(refused.value)
    assert set(everything(path)) == {measured(1).uid}
    (folder / "trials").unlink()
    with MirroredStore(path, bucket) as store:
        assert push(store, bucket) == 1
        assert push(store, bucket) == 0
    pull(tmp_path / "theirs.db", bucket)
    assert everything(tmp_path / "theirs.db") == everything(path)


def test_an_object_that_is_there_is_never_changed(bucket: Bucket) -> None:
    bucket.put(measured(1).uid, b"first")
    bucket.put(measured(1).uid, b"second")
    assert bucket.get(measured(1).uid) == b"first"


def bomb() -> bytes:
    return zlib.compress(bytes(300 * 2**20), 1)  # level 1: quick


def body(**changed: object) -> bytes:
    plain: dict[str, object] = {
        "trial": msgspec.json.encode(measured(9)),
        "parts": [],
        "session": None,
    }
    # As the object's own struct is encoded: a map by field.
    return sealed(msgspec.msgpack.encode(plain | changed))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: b"", "not a trial"),
        (lambda: b"permille trial 2\n" + bytes(40), "newer permille"),
        (lambda: encode(Content(measured(9), RAW, None))[:-1], "checksum"),
        (lambda: sealed(b"\x91" * 100_000), "cannot be read"),
        (lambda: body(trial=msgspec.json.encode(measured(8))), "another trial"),
        (lambda: body(trial=b"[" * 100_000), "cannot be read"),
        (lambda: body(trial=msgspec.json.encode(measured(9, source="codecarbon"))), "its source"),
        (lambda: body(trial=msgspec.json.encode(measured(9, repeat=-1))), "repeat is -1"),
        (lambda: body(parts=[("spans", bomb())]), "too large"),
        (lambda: body(parts=[("spans", b"x"), ("spans", b"x")]), "other parts"),
        (lambda: body(session=b"{}"), "cannot be read"),
    ],
)
def test_an_object_that_is_no_sound_trial_is_named_and_the_others_are_read(
    tmp_path: Path, folder: Path, bucket: Bucket, make: Callable[[], bytes], reason: str
) -> None:
    bucket.put(measured(1).uid, encode(Content(measured(1), RAW, None)))
    bucket.put(measured(9).uid, make())
    (folder / "trials" / "..%2fevil").write_bytes(b"not a uid: passed over")
    pulled = pull(tmp_path / "here.db", bucket)
    assert (pulled.new, pulled.refused) == (1, 1)
    assert reason in pulled.problems[0]
    assert measured(9).uid in pulled.problems[0]
    assert set(everything(tmp_path / "here.db")) == {measured(1).uid}


def test_what_is_encoded_is_decoded() -> None:
    content = Content(measured(1), RAW, session())
    assert decode(measured(1).uid, encode(content)) == content


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3:///prefix", "s3://key:secret@bucket/p", "gs://b/p?token=1", "file://host/p",
     "file:///", "s3://[bucket"],
)  # fmt: skip
def test_a_url_that_names_no_place_or_more_than_a_place_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_url(url)
    assert "secret" not in str(refused.value)


def test_each_url_has_a_file_of_its_own(tmp_path: Path) -> None:
    urls = ["s3://a/b", "s3://a-b", "gs://a/b", "s3://a/c"]
    assert len({local_path(url, tmp_path) for url in urls}) == len(urls)
    assert all(local_path(url, tmp_path).parent == tmp_path / "stores" for url in urls)


def test_a_folder_that_is_not_there_is_not_made_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        Bucket(f"file://{tmp_path / 'absent'}")
    assert not (tmp_path / "absent").exists()


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real S3 interface on this machine; its address."""
    pytest.importorskip("moto")
    pytest.importorskip("flask_cors")
    code = (
        "from moto.server import ThreadedMotoServer as S; import sys\n"
        "s = S(ip_address='127.0.0.1', port=0, verbose=False); s.start()\n"
        "print(s.get_host_and_port()[1], flush=True); sys.stdin.read(); s.stop()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        endpoint = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        urllib.request.urlopen(
            urllib.request.Request(f"{endpoint}/measurements", method="PUT"), timeout=PATIENCE_S
        ).close()
        yield endpoint
        server.kill()


@pytest.mark.slow
def test_trials_go_through_s3_and_an_object_there_is_never_changed(tmp_path: Path, s3: str) -> None:
    bucket = Bucket("s3://measurements/team/a")
    bucket.check_writable()
    with MirroredStore(tmp_path / "mine.db", bucket) as store:
        for number in range(3):
            store.add(measured(number), RAW)
        assert push(store, bucket) == 0
    assert pull(tmp_path / "theirs.db", bucket) == (3, 0, ())
    assert everything(tmp_path / "theirs.db") == everything(tmp_path / "mine.db")
    bucket.put(measured(0).uid, b"other")
    assert bucket.get(measured(0).uid) != b"other"
    # Another prefix of the same bucket is another store.
    assert pull(tmp_path / "b.db", Bucket("s3://measurements/team/b")) == (0, 0, ())


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_one_line(s3: str) -> None:
    with pytest.raises(StoreError, match=r"cannot write to s3://absent/p: ") as refused:
        Bucket("s3://absent/p").check_writable()
    assert "\n" not in str(refused.value)
    with pytest.raises(StoreError, match="not found; check the name of the bucket"):
        list(Bucket("s3://absent/p").listed())


@pytest.mark.slow
def test_an_upload_that_is_interrupted_is_made_good_by_the_next_run(
    tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, bucket = tmp_path / "mine.db", Bucket("s3://measurements/p")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody listens there
    with (
        MirroredStore(path, Bucket("s3://measurements/p")) as store,
        pytest.raises(StoreError, match="finished trial is kept") as interrupted,
    ):
        store.add(measured(1), RAW)
    assert "\n" not in str(interrupted.value)
    with MirroredStore(path, bucket) as store:
        assert push(store, bucket) == 1
    assert pull(tmp_path / "theirs.db", bucket).new == 1
