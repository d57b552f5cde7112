"""Sessions: what is one, what is kept of the machine, and whole runs of several."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from permille.records import Conditions, Phase, Trial
from permille.store import Store
from permille.study.run import conditions
from permille.study.run.session import LONG_BREAK_S, Sessions
from tests.conftest import Permille
from tests.powercap import Driver
from tests.records import trial

HERE = Conditions(machine="m1", boot="b1")
NOON = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)


def after(seconds: float) -> datetime.datetime:
    return NOON + datetime.timedelta(seconds=seconds)


def test_a_session_goes_on_until_a_long_break_or_another_boot() -> None:
    sessions = Sessions(None)
    first = sessions.at(HERE, NOON)
    sessions.measured(after(LONG_BREAK_S))
    assert sessions.at(HERE, after(2 * LONG_BREAK_S)) == first
    assert sessions.at(HERE, after(2 * LONG_BREAK_S + 1)) != first
    sessions.measured(after(2 * LONG_BREAK_S + 2))
    rebooted = msgspec.structs.replace(HERE, boot="b2")
    assert sessions.at(rebooted, after(2 * LONG_BREAK_S + 3)) != first


def test_a_clock_that_was_put_back_ends_a_session() -> None:
    sessions = Sessions(None)
    first = sessions.at(HERE, NOON)
    assert sessions.at(HERE, after(-60.0)) != first


def stored(seconds: float = 100.0, **changed: object) -> Trial:
    whole = Phase(seconds=seconds, domains={})
    return msgspec.structs.replace(
        trial(started=NOON.isoformat(), phases={"whole": whole}),
        **({"session": "s1", "conditions": HERE} | changed),
    )


def test_a_run_goes_on_in_the_session_of_the_run_before_it() -> None:
    assert Sessions(stored()).at(HERE, after(LONG_BREAK_S + 99)) == "s1"
    assert Sessions(stored()).at(HERE, after(LONG_BREAK_S + 101)) != "s1"
    elsewhere = msgspec.structs.replace(HERE, machine="m2")
    assert Sessions(stored(conditions=elsewhere)).at(HERE, after(1)) != "s1"
    assert Sessions(stored(conditions=None, session=None)).at(HERE, after(1)) != "s1"


def test_the_machine_is_read_from_its_files(tmp_path: Path) -> None:
    files = {
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "proc/sys/kernel/random/boot_id": "11111111-2222-3333-4444-555555555555\n",
        "proc/cpuinfo": "processor\t: 0\nmicrocode\t: 0xf4\n\nprocessor\t: 1\n",
        "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "performance\n",
        "sys/devices/system/cpu/cpufreq/policy1/scaling_governor": "powersave\n",
        "sys/devices/system/cpu/intel_pstate/no_turbo": "1\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = conditions.read(tmp_path)
    assert found.boot == "11111111-2222-3333-4444-555555555555"
    assert (found.microcode, found.governor, found.turbo) == (
        "0xf4",
        "performance, powersave",
        False,
    )
    assert found.load is not None
    # The id itself stays on the machine.
    assert "0123456789abcdef" not in msgspec.json.encode(found).decode()
    assert conditions.read(tmp_path).machine == found.machine
    (tmp_path / "etc/machine-id").write_text("fedcba9876543210fedcba9876543210\n")
    assert conditions.read(tmp_path).machine != found.machine


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    found = conditions.read(tmp_path)
    assert found.machine
    assert (found.boot, found.microcode, found.governor, found.turbo) == (None,) * 4


Study = Callable[..., Path]


@pytest.mark.measuring
def test_a_run_of_two_sessions_measures_every_repeat_in_each(
    permille: Permille, powercap: Driver, study: Study, tmp_path: Path
) -> None:
    path = str(study("quick", "slow", repeats=2))
    permille("run", path)  # the first session, before anyone thought of a second
    shown = permille("run", path, "--sessions", "2", "--every", "1s", "--dry-run", "--json").json
    assert (shown["trials"], shown["finished"]) == (8, 4)
    permille("run", path, "--sessions", "2", "--every", "1s")
    with Store(tmp_path / "permille.db", readonly=True) as store:
        trials = list(store.trials())
    assert sorted((t.cell.model, t.repeat) for t in trials) == [
        (model, repeat) for model in ("quick", "slow") for repeat in range(4)
    ]
    by_session = defaultdict(set)
    blocks = defaultdict(list)
    for one in trials:
        by_session[one.session].add(one.repeat)
        blocks[one.session, one.block].append(one.cell.model)
        assert one.conditions is not None
    assert sorted(map(sorted, by_session.values())) == [[0, 1], [2, 3]]
    assert sorted(map(sorted, blocks.values())) == [["quick", "slow"]] * 4
    again = permille("run", path, "--sessions", "2", "--json-lines")
    assert again.out == ""


@pytest.mark.measuring
def test_what_is_left_of_a_block_is_a_block_of_its_own(
    permille: Permille, powercap: Driver, study: Study, tmp_path: Path
) -> None:
    path = str(study("quick", "slow", repeats=1))
    permille("run", path, "--models", "slow")
    permille("run", path)
    with Store(tmp_path / "permille.db", readonly=True) as store:
        one, other = store.trials()
    assert one.session == other.session
    assert one.block != other.block


@pytest.mark.measuring
def test_a_long_block_ends_with_the_reference_which_is_no_result(
    permille: Permille, powercap: Driver, study: Study, tmp_path: Path
) -> None:
    path = study("quick", repeats=1)
    # A block as long as it takes to be worth a reference.
    path.write_text(path.read_text().replace("idle_s = 0.2", "idle_s = 21.0"))
    permille("run", str(path))
    with Store(tmp_path / "permille.db") as store:
        assert {t.source for t in store.trials()} == {"permille"}
        (kept,) = store.trials(source="reference")
        assert store.studies() == ["small"]
        (own,) = store.trials()
    assert (kept.session, kept.block, kept.status) == (own.session, own.block, "done")
    assert kept.phases["query"].domains["cpu:0"].energy_j > 0
    assert len(permille("results", "--json").json["rows"]) == 1
    merged = permille("store", "merge", "all.db", "permille.db", "permille.db", "--json").json
    assert merged["trials"] == {"new": 2, "known": 2, "refused": 0}
    path.write_text(path.read_text().replace("[study]", "[study]\nreference = false"))
    permille("run", str(path), "--store", "without.db")
    with Store(tmp_path / "without.db") as store:
        assert not list(store.trials(source="reference"))


def test_sessions_with_a_precision_are_refused(permille: Permille, study: Study) -> None:
    path = str(study("quick"))
    finished = permille("run", path, "--precision", "0.1", "--sessions", "2", code=2)
    assert "give --repeats" in finished.err


@pytest.mark.parametrize("text", ["soon", "-5m", "3w", ""])
def test_a_time_that_is_none_is_refused(permille: Permille, study: Study, text: str) -> None:
    finished = permille("run", str(study("quick")), "--sessions", "2", f"--every={text}", code=2)
    assert "is not a time, such as" in finished.err
