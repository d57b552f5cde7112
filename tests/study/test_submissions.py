"""What a study has submitted, on file beside those of other studies."""

from __future__ import annotations

from pathlib import Path

import pytest

from permille.errors import EngineError
from permille.study.engines.submissions import Submissions, Submitted

ONE = Submitted(plan="p", jobs=("7_0", "7_1"), folders=("one a", "one b"))
OTHER = Submitted(plan="q", jobs=("8_0",), folders=("other a",))


def _of(folder: Path, study: str) -> Submissions:
    return Submissions(folder, study, [f"{study} a", f"{study} b"])


def test_each_study_has_its_own_record_and_forgets_only_that(tmp_path: Path) -> None:
    one, other = _of(tmp_path, "one"), _of(tmp_path, "other")
    assert (one.recorded(), one.unrecorded()) == ([], [])
    names = [one.begin(), other.begin()]
    assert [one.unrecorded(), other.unrecorded()] == [names[:1], names[1:]]
    one.record(ONE)
    other.record(OTHER)
    assert one.unrecorded() == other.unrecorded() == []
    one.forget()
    assert (one.recorded(), other.recorded()) == ([], [OTHER])


def test_what_an_older_version_left_is_its_studys_alone(tmp_path: Path) -> None:
    one, other = _of(tmp_path, "one"), _of(tmp_path, "other")
    one.begin()
    one.record(ONE)
    (record,) = tmp_path.iterdir()
    record.rename(tmp_path / "submitted.json")
    (tmp_path / "submitting").write_text("permille-one-01234567")
    assert (one.recorded(), one.unrecorded()) == ([ONE], ["permille-one-01234567"])
    assert (other.recorded(), other.unrecorded()) == ([], [])
    other.begin()
    other.record(OTHER)
    other.forget()
    assert len(list(tmp_path.iterdir())) == 2
    one.begin()
    one.record(ONE)
    one.forget()
    # It may be of another study whose long name begins alike, whose jobs it guards.
    assert [path.name for path in tmp_path.iterdir()] == ["submitting"]


def test_the_name_of_jobs_is_short_and_a_longer_study_is_known_by_it(tmp_path: Path) -> None:
    one = _of(tmp_path, "x" * 100)
    name = one.begin()
    assert len(name) == 60
    assert one.unrecorded() == [name]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"plan": "p", "jobs": [], "folders": []}',
        b'{"plan": "p", "jobs": ["7_0", "7_1"], "folders": ["one a"]}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("older", [False, True])
def test_a_damaged_record_is_one_line_with_its_name(
    tmp_path: Path, body: bytes, older: bool
) -> None:
    one = _of(tmp_path, "one")
    one.begin()
    one.record(ONE)
    (record,) = tmp_path.iterdir()
    if older:
        record = record.rename(tmp_path / "submitted.json")
    record.write_bytes(body)
    with pytest.raises(EngineError, match=rf"{record.name} is damaged.*; delete it if no jobs"):
        one.recorded()
