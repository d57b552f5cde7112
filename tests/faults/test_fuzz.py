"""Anything at the seams: a store's file, weights' headers, a worker's words, a server's answers.
Each is read, or refused in the words of permille's own errors; nothing else is ever raised.

``make fuzz`` runs the same for longer."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from permille.backends.endpoint.answers import Answer
from permille.backends.endpoint.http import Client
from permille.backends.endpoint.stream import events
from permille.errors import ModelError, StoreError
from permille.store import Store
from permille.study.worker.messages import MAX_MESSAGE, Inbox, Progress, SpanDone, WorkerResult
from permille.weights import gguf, onnx, safetensors
from permille.weights.header import Header, UnreadableWeightsError
from tests.gguf_file import gguf as gguf_of
from tests.records import trial

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=EXAMPLES == 100,
)
SAFETENSORS = json.dumps({"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
WHOLE = {
    "safetensors": len(SAFETENSORS).to_bytes(8, "little") + SAFETENSORS + bytes(24),
    "onnx": b"\x3a\x10\x2a\x0e\x08\x02\x08\x03\x10\x01\x42\x01w\x4a\x03abc",
    "gguf": gguf_of({"general.architecture": "llama", "words": ["a", "b"]}, {"w": (2, 3)}),
}
READERS = {"safetensors": safetensors.read, "onnx": onnx.read, "gguf": gguf.read}
changes = st.lists(
    st.tuples(st.integers(0, 10_000), st.binary(max_size=9), st.integers(0, 9)), max_size=4
)


def changed(content: bytes, edits: list[tuple[int, bytes, int]]) -> bytes:
    """``content`` with some bytes put in the place of others."""
    for at, new, old in edits:
        where = at % (len(content) + 1)
        content = content[:where] + new + content[where + old :]
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("kind", sorted(READERS))
def test_the_headers_that_are_changed_are_whole_to_begin_with(folder: Path, kind: str) -> None:
    file = folder / f"whole.{kind}"
    file.write_bytes(WHOLE[kind])
    (tensor,) = READERS[kind](file).tensors or ()
    assert tensor.numbers == 6


@pytest.mark.parametrize("kind", sorted(READERS))
@FUZZ
@given(edits=changes, content=st.none() | st.binary(max_size=200))
@example(edits=[], content=b"")
@example(edits=[(0, b"\xff" * 8, 8)], content=None)
def test_any_header_is_read_or_refused(
    folder: Path, kind: str, edits: list[tuple[int, bytes, int]], content: bytes | None
) -> None:
    file = folder / f"m.{kind}"
    file.write_bytes(changed(WHOLE[kind], edits) if content is None else content)
    try:
        found = READERS[kind](file)
    except UnreadableWeightsError:
        return
    assert isinstance(found, Header)
    assert all(tensor.numbers >= 0 for tensor in found.tensors or ())


@FUZZ
@given(pieces=st.lists(st.binary(max_size=300), max_size=6), framed=st.booleans())
@example(pieces=[b"\xff\xff\xff\xff"], framed=False)
@example(pieces=[b"\x91" * 2000], framed=True)
@example(pieces=[b"\x83\xa4type\xa8Progress\xa5stage\xa4load\xa1x" + b"\x91" * 5000], framed=True)
@example(pieces=[struct.pack("!I", MAX_MESSAGE + 1)], framed=False)
def test_any_words_of_a_worker_are_messages_or_refused(pieces: list[bytes], framed: bool) -> None:
    inbox = Inbox()
    try:
        for piece in pieces:
            told = struct.pack("!I", len(piece)) + piece if framed else piece
            for message in inbox.feed(told):
                assert isinstance(message, Progress | SpanDone | WorkerResult)
    except ValueError:  # as the runner takes it: the worker's own channel carried garbage
        return


@FUZZ
@given(content=st.binary(max_size=300) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["choices", "message", "content", "usage", "data", "error", "delta",
                         "finish_reason", "index", "timings", "completion_tokens"]), inner,
        max_size=4),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
@example(content=b"[" * 100_000)
@example(content=b'{"a": ' + b"9" * 10_000 + b"}")
def test_any_answer_of_a_server_is_an_object_or_refused(content: bytes) -> None:
    client = Client("m", "http://127.0.0.1:9/v1", None, 1.0)
    try:
        found = client.parse(content)
        assert isinstance(found, dict)
        answer = Answer("m", 8)
        answer.add(found)
        answer.output()
    except ModelError:
        return


@FUZZ
@given(pieces=st.lists(st.binary(max_size=40) | st.sampled_from(
    [b"data: {}", b"\n", b"\r", b"\r\n", b"event: error\n", b"\xef\xbb\xbf", b": a comment\n"]),
    max_size=12))  # fmt: skip
def test_a_stream_is_the_same_events_however_it_is_cut_up(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert list(events(pieces)) == list(events([whole]))
    assert list(events(pieces)) == list(events([bytes([b]) for b in whole]))


@pytest.fixture(scope="module")
def stored(folder: Path) -> Path:
    with Store(folder / "whole.db") as store:
        for number in range(3):
            store.add(trial(36.0 + number, repeat=number))
    with sqlite3.connect(folder / "whole.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return folder / "whole.db"


@FUZZ
@given(edits=changes.filter(bool), cut=st.none() | st.integers(0, 100_000), scale=st.integers(1, 9))
def test_any_store_is_read_or_refused(
    folder: Path,
    stored: Path,
    edits: list[tuple[int, bytes, int]],
    cut: int | None,
    scale: int,
) -> None:
    for leftover in folder.glob("m.db*"):
        leftover.unlink()
    file = folder / "m.db"
    spread = [(at * scale, new, old) for at, new, old in edits]
    file.write_bytes(changed(stored.read_bytes(), spread)[:cut])
    trials = [trial(36.0 + number, repeat=number) for number in range(3)]
    try:
        with Store(file, readonly=True) as store:
            found = list(store.trials())
    except StoreError:
        return
    for one in found:
        assert one in trials
