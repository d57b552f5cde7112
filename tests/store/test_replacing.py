"""Another record in the place of a trial: sealed, counted, and never of another group."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from permille.errors import StoreError
from permille.records.trial import Trial
from permille.store import Added, Raw, Store
from permille.store.repair import check
from tests.records import trial


def _taken(known: Trial, found: Trial) -> Trial:
    return found


def _left(known: Trial, found: Trial) -> None:
    return None


def _refused(found: Trial, reason: str) -> None:
    raise AssertionError(reason)


def test_new_known_and_replaced_are_told_apart_within_one_call(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    first, other = trial(30.0, repeat=0), trial(40.0, repeat=1)
    fuller = msgspec.structs.replace(first, notes=("fuller",))
    with Store(path) as store:
        assert store.add_or_replace([first, other], _left, _refused) == Added(2, 0, 0)
        assert store.add_or_replace([first], _left, _refused) == Added(0, 0, 1)
        assert store.add_or_replace([fuller], _taken, _refused) == Added(0, 1, 0)
    with Store(path, readonly=True) as store:
        assert list(store.trials()) == [fuller, other]  # in its place
    assert check(path).problems == ()


@pytest.mark.parametrize("changed", [{"study": "another"}, {"source": "another"}, {"round": 1}])
def test_what_does_not_fit_in_its_place_changes_nothing(
    tmp_path: Path, changed: dict[str, object]
) -> None:
    path = tmp_path / "s.db"
    first = trial(30.0, repeat=0)
    with Store(path) as store:
        store.add(first)
        wrong = msgspec.structs.replace(first, **changed)
        with pytest.raises(StoreError, match=r"not replaced|not stored"):
            store.add_or_replace([trial(40.0, repeat=1), wrong], _taken, _refused)
    with Store(path, readonly=True) as store:
        assert list(store.trials()) == [first]
    assert check(path).problems == ()


def test_a_trial_with_a_recording_is_never_replaced(tmp_path: Path) -> None:
    first = trial(30.0, repeat=0)
    with Store(tmp_path / "s.db") as store:
        store.add(first, Raw())
        with pytest.raises(StoreError, match="has a recording"):
            store.add_or_replace([first], _taken, _refused)


def test_what_cannot_be_kept_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    endless, good = trial(30.0, counts={"n": float("inf")}), trial(40.0, repeat=1)
    refused: list[tuple[str, str]] = []

    def refuse(found: Trial, reason: str) -> None:
        refused.append((found.uid, reason))

    with Store(path) as store:
        assert store.add_or_replace([endless, good], _left, refuse) == Added(1, 0, 0)
    assert refused == [(endless.uid, "counts.n is inf, not a finite number")]
    with Store(path, readonly=True) as store:
        assert list(store.trials()) == [good]
