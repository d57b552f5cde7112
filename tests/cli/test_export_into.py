"""``permille export model-card --into``: the section between the markers, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.cli import dispatch
from permille.errors import UsageError
from permille.exporters.section import BEGIN, END, renewed
from permille.store import Store
from tests.records import trial


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "permille.db"
    with Store(path) as opened:
        for repeat in range(2):
            opened.add(trial(36.0 + repeat, model=f"small{END.decode()}", repeat=repeat))
    return path


def export(store: Path, *arguments: str) -> None:
    assert dispatch(["export", *arguments, "--store", str(store)]) == 0


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_the_section_is_added_and_then_renewed_in_place(store: Path, newline: bytes) -> None:
    page = store.parent / "README.md"
    head = newline.join([b"\xef\xbb\xbf---", b"license: mit", b"---", b"# Caf\xc3\xa9  ", b""])
    page.write_bytes(head)
    export(store, "model-card", "--into", str(page))
    first = page.read_bytes()
    assert first.startswith(head + newline + BEGIN + newline + b"## Energy and carbon")
    # The hostile name in the table is escaped: there is one end marker.
    assert first.endswith(newline + END + newline)
    assert first.count(END) == 1
    assert newline == b"\n" or first.count(b"\n") == first.count(b"\r\n")

    tail = newline + b"## Licence, with no line end"
    page.write_bytes(first + tail)
    with Store(store) as opened:
        opened.add(trial(99.0, model=f"small{END.decode()}", repeat=2))
    export(store, "model-card", "--into", str(page))
    second = page.read_bytes()
    assert second != first + tail
    assert second.startswith(head + newline + BEGIN)
    assert second.endswith(END + newline + tail)
    assert second.count(BEGIN) == second.count(END) == 1

    export(store, "model-card", "--into", str(page))
    assert page.read_bytes() == second


@given(before=st.text(), after=st.text(), old=st.text(), new=st.text())
def test_what_is_outside_the_markers_stays(before: str, after: str, old: str, new: str) -> None:
    head, tail = before.encode(), after.encode()
    page = head + BEGIN + old.encode() + END + tail
    result = renewed(page, new.encode())
    assert result.startswith(head + BEGIN)
    assert result.endswith(END + tail)
    assert renewed(result, new.encode()) == result


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BEGIN, "correct or remove"),
        (END, "correct or remove"),
        (END + BEGIN, "correct or remove"),
        (BEGIN + END + BEGIN + END, "correct or remove"),
        (b"caf\xe9", "not UTF-8"),
    ],
)
def test_a_page_that_cannot_be_renewed_stays(store: Path, content: bytes, message: str) -> None:
    page = store.parent / "README.md"
    page.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        export(store, "model-card", "--into", str(page))
    assert page.read_bytes() == content


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model-card", "--into", "absent.md"], "cannot read absent.md"),
        (["model-card"], "name one file"),
        (["model-card", "-", "--into", "page.md"], "name one file"),
        (["csv", "--into", "page.md"], "csv has no --into"),
    ],
)
def test_what_is_not_one_page_is_refused(
    store: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.parent)
    with pytest.raises(UsageError, match=message):
        export(store, *arguments)
    assert not list(store.parent.glob("*.md"))
