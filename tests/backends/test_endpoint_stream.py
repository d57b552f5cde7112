from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.backends.endpoint.stream import ServerEvent, events

WHOLE = b'data: {"a": 1}\n\ndata: {"b":\ndata: 2}\n\nevent: error\ndata: died\n\ndata: [DONE]\n\n'
READ = [
    ServerEvent("message", '{"a": 1}'),
    ServerEvent("message", '{"b":\n2}'),
    ServerEvent("error", "died"),
    ServerEvent("message", "[DONE]"),
]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@given(cuts=st.lists(st.integers(0, 200), max_size=12))
def test_events_are_the_same_however_the_body_is_cut_and_its_lines_end(
    end: bytes, cuts: list[int]
) -> None:
    body = WHOLE.replace(b"\n", end)
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[a:b] for a, b in pairwise(edges) if b > a]
    assert list(events(pieces)) == READ


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"\xef\xbb\xbfdata: x\n\n", [ServerEvent("message", "x")]),
        (b": keep-alive\n\n: ping\n\ndata:x\n\n", [ServerEvent("message", "x")]),
        (b"id: 7\nretry: 10\ndata: x\n\n", [ServerEvent("message", "x")]),
        (b"data: x", [ServerEvent("message", "x")]),
        (b'error: {"message": "m"}\n\n', [ServerEvent("error", '{"message": "m"}')]),
        (b'{"error": "m"}\n', [ServerEvent("message", '{"error": "m"}')]),
        (b"event: error\n\ndata: x\n\n", [ServerEvent("message", "x")]),
        (b"data: \xff\n\n", [ServerEvent("message", "\ufffd")]),
        (b"", []),
    ],
)
def test_what_servers_send_beside_plain_events(body: bytes, read: list[ServerEvent]) -> None:
    assert list(events([body])) == read


def test_an_event_is_there_as_soon_as_it_is_complete() -> None:
    taken = []

    def pieces() -> Iterator[bytes]:
        for piece in (b"data: a\n\n", b"data: b\r\n\r", b"\ndata: c\n\n"):
            taken.append(piece)
            yield piece

    found = events(pieces())
    assert (next(found).data, len(taken)) == ("a", 1)
    assert (next(found).data, len(taken)) == ("b", 2)


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_are_events_or_nothing(pieces: list[bytes]) -> None:
    assert all(isinstance(event, ServerEvent) for event in events([p for p in pieces if p]))
