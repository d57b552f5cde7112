"""RAPL on fake trees: every zone once, every fault an error and never a figure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.analysis.boundaries import Bounded, within
from permille.energy.phases import phase
from permille.meters import Meter, MeterUnavailable
from permille.meters.processor import Processor
from permille.meters.rapl.counter import parse_counter
from permille.meters.rapl.facts import accuracy
from permille.meters.rapl.meter import open_meter
from permille.meters.rapl.mirrors import is_mirror
from permille.recorder.poller import Poller
from permille.records.energy import Refused
from permille.records.recording import Span
from tests.powercap import Constant, FakePowercap, Layout

INTEL = (
    "vendor_id : GenuineIntel\ncpu family : 6\nmodel : 106\nmodel name : Intel(R) Xeon(R) 8380\n"
)
AMD = "vendor_id : AuthenticAMD\ncpu family : 25\nmodel : 17\nmodel name : AMD EPYC 9654\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "class" / "powercap"


def opened(root: Path, cpuinfo: str = INTEL, boot: str = "boot-1") -> Meter:
    info, boot_id = root.parent / "cpuinfo", root.parent / "boot_id"
    info.write_text(cpuinfo)
    boot_id.write_text(boot)
    return open_meter(root, info, boot_id)


def energies(meter: Meter) -> dict[str, float | None]:
    return {reading.domain: reading.energy_j for reading in meter.read()}


@pytest.mark.parametrize("layout", ["flat", "nested", "sysfs"])
def test_each_zone_once_in_any_layout(root: Path, layout: Layout) -> None:
    tree = FakePowercap(root, packages=2, core=True, psys=True, mmio=True, layout=layout)
    for n, zone in enumerate(tree.zones, start=1):
        tree.set(zone, n * 1_000_000)
    meter = opened(root)
    wanted = {"cpu:0", "cpu:1", "dram:0", "dram:1", "psys"}  # no core, no mmio
    assert energies(meter) == {
        zone: n for n, zone in enumerate(tree.zones, start=1) if zone in wanted
    }
    kinds = {domain.name: (domain.kind, domain.covers) for domain in meter.domains}
    assert kinds["psys"] == ("node", ("cpu", "dram"))
    assert kinds["dram:1"] == ("dram", ())
    meter.close()
    meter.close()


def test_facts_of_a_domain(root: Path) -> None:
    FakePowercap(root, dram=False, range_uj=65_532_610_987, limit_w=270.0)
    (domain,) = opened(root).domains
    assert domain.wrap_j == pytest.approx(65_532.610987)
    assert domain.resolution_j == pytest.approx(15.258e-6, rel=1e-3)  # 2^-16 J, a server's unit
    assert domain.max_power_w == 4 * 270.0
    assert (domain.accuracy_low, domain.accuracy_high) == (0.05, 0.05)
    assert "10.1145/3177754" in domain.accuracy_source
    assert domain.provenance == "measured"
    assert domain.tick_s is None  # it stood still while it was watched


def test_max_interval_keeps_two_wraps_apart(root: Path) -> None:
    FakePowercap(root, range_uj=100_000_000, limit_w=50.0)  # 100 J at 200 W: half a second
    assert opened(root).max_interval_s == pytest.approx(100 / 200 / 2)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "", "999999999999"])
def test_an_absurd_limit_is_not_believed(root: Path, text: str) -> None:
    tree = FakePowercap(root, dram=False, limit_w=100.0)
    for path in tree.zones["cpu:0"].glob("constraint_0_*_uw"):
        path.write_text(text)
    assert opened(root).domains[0].max_power_w == 1000.0


def test_a_low_limit_does_not_make_real_power_implausible(root: Path) -> None:
    FakePowercap(root, dram=False, limit_w=6.0)
    assert opened(root).domains[0].max_power_w == 100.0


def test_a_counter_too_fast_to_follow_is_refused(root: Path) -> None:
    tree = FakePowercap(root)
    (tree.zones["dram:0"] / "max_energy_range_uj").write_text("1000000")  # 1 J at 200 W: 2.5 ms
    meter = opened(root)
    assert [domain.name for domain in meter.domains] == ["cpu:0"]
    assert "dram:0: it could wrap" in meter.observe(frozenset()).notices[0][1]
    (tree.zones["cpu:0"] / "max_energy_range_uj").write_text("1000000")
    with pytest.raises(MeterUnavailable, match="wrap within 5 ms") as raised:
        opened(root)
    assert not raised.value.forbidden


def test_dies_of_intel_are_two_counters_of_amd_one(root: Path) -> None:
    tree = FakePowercap(root, dies=2)
    for zone in ("cpu:0.0", "cpu:0.1"):
        tree.set(zone, 5_000_000)
    assert energies(opened(root)) == {"cpu:0.0": 5, "dram:0.0": 0, "cpu:0.1": 5, "dram:0.1": 0}
    assert energies(opened(root, AMD)) == {"cpu:0.0": 5, "dram:0.0": 0}
    tree.set("cpu:0.1", 9_000_000)  # a counter of its own after all
    assert energies(opened(root, AMD))["cpu:0.1"] == 9


@pytest.mark.parametrize("cpuinfo", [INTEL, AMD])
def test_dies_that_step_as_one_are_one_on_any_processor(root: Path, cpuinfo: str) -> None:
    tree = FakePowercap(root, dies=2, dram=False)
    one = {"cpu:0.0": Constant(60.0), "cpu:0.1": Constant(60.0)}
    with tree.drive(one, start_uj={"cpu:0.0": 7_000_000, "cpu:0.1": 7_000_000}):
        assert [domain.name for domain in opened(root, cpuinfo).domains] == ["cpu:0.0"]


@pytest.mark.parametrize("cpuinfo", [INTEL, AMD])
def test_dies_that_step_apart_are_two_on_any_processor(root: Path, cpuinfo: str) -> None:
    tree = FakePowercap(root, dies=2, dram=False)
    two = {"cpu:0.0": Constant(60.0), "cpu:0.1": Constant(60.0)}
    with tree.drive(two, start_uj={"cpu:0.0": 7_000_000, "cpu:0.1": 9_000_000}):
        assert len(opened(root, cpuinfo).domains) == 2


def test_one_file_under_two_names_is_one_counter(root: Path) -> None:
    tree = FakePowercap(root, dies=2, dram=False)
    tree.counter("cpu:0.1").unlink()
    tree.counter("cpu:0.1").hardlink_to(tree.counter("cpu:0.0"))
    assert [domain.name for domain in opened(root).domains] == ["cpu:0.0"]


@pytest.mark.parametrize(
    ("first", "second", "one"),
    [
        ([5.0, 5.0, 5.06], [5.0, 5.06, 5.06], True),
        ([5.0, 5.0, 5.06], [5.0, 5.0, 5.0], True),  # the second steps a moment later
        ([5.0, 5.06, 5.12], [5.0, 5.15, 5.30], False),  # the same origin, another power
        ([5.0, 5.06, 5.12], [9.0, 9.06, 9.12], False),
        ([5.0, 7.4, 9.8], [7.0, 9.4, 11.8], False),  # the reader is slow: steps above the distance
        ([5.0, 5.06, 5.12], [5.0, 5.06, 6.3], True),  # the reader was held up between the two
        ([6.2, 6.2, 6.26], [5.0, 6.2, 6.26], True),  # the driver was
        ([99.97, 0.03, 0.09], [99.97, 0.03, 0.09], True),  # both wrap
        ([99.97, 99.97, 0.03], [99.97, 0.03, 0.03], True),
        ([99.97, 0.03, 0.09], [50.0, 50.06, 50.12], False),
        ([5.0, 5.06, None], [5.0, None, 5.12], None),
        ([5.0, 5.0], [5.0, 5.0], None),
    ],
)
def test_two_counters_are_one_where_they_never_part(
    first: list[float | None], second: list[float | None], one: bool | None
) -> None:
    assert is_mirror(first, second, 100.0) is one


def test_a_pipe_in_a_counters_place_holds_nobody_up(root: Path) -> None:
    tree = FakePowercap(root, dram=False)
    tree.counter("cpu:0").unlink()
    os.mkfifo(tree.counter("cpu:0"))
    (reading,) = opened(root).read()
    assert reading.energy_j is None
    assert reading.error is not None


def test_two_packages_of_one_name_are_told_apart(root: Path) -> None:
    tree = FakePowercap(root, dram=False)
    tree.add_zone("second", "package-0", "intel-rapl:1")
    tree.set("second", 3_000_000)
    assert energies(opened(root)) == {"cpu:0": 0, "cpu:0.1": 3}


@pytest.mark.parametrize("text", ["nan", "-5", "", "1e6", "0x10", "12 34", "inf", "300000000000"])
def test_a_value_that_is_no_count_is_an_error(root: Path, text: str) -> None:
    tree = FakePowercap(root)
    meter = opened(root)
    tree.write("cpu:0", text)
    package, dram = meter.read()
    assert package.energy_j is None
    assert package.power_w is None
    assert package.error is not None
    assert (dram.energy_j, dram.error) == (0, None)


@given(st.binary(max_size=40), st.integers(1, 10**15))
def test_a_counter_is_joules_or_an_error_never_both(raw: bytes, range_uj: int) -> None:
    energy_j, error = parse_counter(raw, range_uj)
    assert (energy_j is None) != (error is None)
    if energy_j is not None:
        assert 0 <= energy_j <= range_uj / 1e6


@given(st.integers(0, 10**12))
def test_a_count_is_read_exactly(value: int) -> None:
    assert parse_counter(f"{value}\n".encode(), 10**12) == (value / 1e6, None)


def test_a_vanished_counter_is_an_error_until_it_is_back(root: Path) -> None:
    tree = FakePowercap(root)
    tree.set("cpu:0", 1_000_000)
    meter = opened(root)
    tree.vanish("cpu:0")
    for _ in range(2):
        (gone, dram) = meter.read()
        assert gone.energy_j is None
        assert gone.error is not None
        assert "vanished" in gone.error
        assert dram.error is None
    tree.restore("cpu:0")
    tree.set("cpu:0", 2_000_000)
    assert energies(meter)["cpu:0"] == 2


def test_a_replaced_counter_is_not_read_on(root: Path) -> None:
    tree = FakePowercap(root)
    meter = opened(root)
    tree.counter("cpu:0").rename(root.parent / "old")
    tree.write("cpu:0", "7000000")
    assert energies(meter)["cpu:0"] == 7


def test_identity_changes_with_the_boot_and_the_driver(root: Path) -> None:
    tree = FakePowercap(root, dram=False)
    meter = opened(root)
    before = meter.observe(frozenset()).identity
    assert meter.observe(frozenset()).identity == before
    (root.parent / "boot_id").write_text("boot-2")
    rebooted = meter.observe(frozenset()).identity
    zone = tree.zones["cpu:0"]
    zone.rename(root.parent / "unloaded")
    zone.mkdir()
    reloaded = meter.observe(frozenset()).identity
    assert len({before, rebooted, reloaded}) == 3


def test_tick_is_measured(root: Path) -> None:
    tree = FakePowercap(root)
    with tree.drive({"cpu:0": Constant(100.0)}, tick_s=0.002):
        package, dram = opened(root).domains
    assert package.tick_s is not None
    assert dram.tick_s is None


@pytest.mark.parametrize("made", [False, True])
def test_nothing_there(root: Path, made: bool) -> None:
    root.parent.mkdir(parents=True)
    if made:
        FakePowercap(root, packages=0)
        (root / "dtpm").mkdir()
    with pytest.raises(MeterUnavailable, match="no RAPL zones") as raised:
        opened(root)
    assert ("modprobe" if made else "PERMILLE_POWERCAP") in raised.value.remedy
    assert not raised.value.present


def test_links_that_lead_nowhere_are_named_with_what_to_mount(root: Path) -> None:
    FakePowercap(root, layout="sysfs")
    (root.parent / "devices").rename(root.parent / "gone")
    with pytest.raises(MeterUnavailable, match="lead nowhere") as raised:
        opened(root)
    assert "/sys/devices/virtual/powercap" in raised.value.remedy
    assert "modprobe" not in str(raised.value)
    assert raised.value.present


def within_compute(meter: Meter, tree: FakePowercap, driven: list[str]) -> Bounded | Refused:
    """What a recorder over ``meter`` makes of a second of 60 W in each zone of ``driven``."""
    poller = Poller([meter])
    poller.begin()
    t_ns = []
    for energy_uj in (1_000_000, 61_000_000, 62_000_000):
        for zone in driven:
            tree.set(zone, energy_uj)
        t_ns.append(poller.poll())
        time.sleep(0.7)
    span = Span(name="query", t0_ns=t_ns[0], t1_ns=t_ns[-1])
    return within(phase(poller.take(), span), "compute")


def cut(tree: FakePowercap, zone: str, how: str) -> None:
    path = tree.zones[zone]
    if how == "gone":
        tree.vanish(zone)
    elif how == "nameless":
        (path / "name").unlink()
    elif how == "no range":
        (path / "max_energy_range_uj").write_text("much\n")
    elif how == "too fast":
        (path / "max_energy_range_uj").write_text("1000000\n")
    else:
        path.rename(tree.root.parent / "elsewhere")


@pytest.mark.measuring
@pytest.mark.parametrize(
    ("how", "named"),
    [
        ("gone", "cpu:1"),
        ("no range", "cpu:1"),
        ("too fast", "cpu:1"),
        ("nameless", "intel-rapl:1"),
        ("dangling", "intel-rapl:1"),
    ],
)
def test_without_one_of_two_packages_there_is_no_figure(root: Path, how: str, named: str) -> None:
    tree = FakePowercap(root, packages=2, dram=False, layout="sysfs")
    cut(tree, "cpu:1", how)
    meter = opened(root)
    assert [domain.name for domain in meter.domains] == ["cpu:0", named]
    said = within_compute(meter, tree, ["cpu:0"])
    assert isinstance(said, Refused)
    assert said.reason.startswith(f"{named}: RAPL: it cannot be read: ")
    assert ("mount" in said.reason) is (how == "dangling")


@pytest.mark.parametrize("zone", ["dram:1", "cpu:0.1", "p1"])
def test_one_zone_of_a_kind_that_cannot_be_opened_is_not_left_out(root: Path, zone: str) -> None:
    tree = FakePowercap(root, packages=2) if zone != "cpu:0.1" else FakePowercap(root, dies=2)
    tree.add_zone("p0", "psys", "intel-rapl:8")
    tree.add_zone("p1", "psys-1", "intel-rapl:9")
    cut(tree, zone, "gone")
    readings = {reading.domain: reading for reading in opened(root).read()}
    lost = readings.pop("psys:1" if zone == "p1" else zone)
    assert lost.energy_j is None
    assert "No such file" in str(lost.error)
    assert all(reading.error is None for reading in readings.values())


def test_where_nothing_of_a_kind_can_be_opened_an_estimate_may_stand_in(root: Path) -> None:
    tree = FakePowercap(root, packages=2)
    for zone in ("dram:0", "dram:1"):
        cut(tree, zone, "gone")
    meter = opened(root)
    assert [domain.name for domain in meter.domains] == ["cpu:0", "cpu:1"]
    assert len(meter.observe(frozenset()).notices) == 2


def test_zones_of_which_none_is_known_are_no_virtual_machines(root: Path) -> None:
    tree = FakePowercap(root, dram=False)
    (tree.zones["cpu:0"] / "name").unlink()
    with pytest.raises(MeterUnavailable, match="no zone of intel-rapl:0") as raised:
        opened(root)
    assert raised.value.present
    assert "modprobe" not in str(raised.value)


@pytest.mark.parametrize("names", [("psys", "psys-1"), ("psys", "psys")])
def test_each_sockets_platform_zone_is_a_domain(root: Path, names: tuple[str, str]) -> None:
    tree = FakePowercap(root, packages=2, dram=False)
    for number, name in enumerate(names):
        tree.add_zone(f"p{number}", name, f"intel-rapl:{number + 2}")
        tree.set(f"p{number}", (7 + number) * 1_000_000)
    assert energies(opened(root)) == {"cpu:0": 0, "cpu:1": 0, "psys": 7, "psys:1": 8}


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.parametrize("same", [True, False])
def test_platform_zones_that_step_as_one_count_once(root: Path, same: bool) -> None:
    tree = FakePowercap(root, packages=0)
    tree.add_zone("p0", "psys", "intel-rapl:0")
    tree.add_zone("p1", "psys-1", "intel-rapl:1")
    start_uj = {"p0": 7_000_000, "p1": 7_000_000 if same else 9_000_000}
    with tree.drive({zone: Constant(60.0) for zone in start_uj}, start_uj=start_uj):
        domains = [domain.name for domain in opened(root).domains]
    assert domains == (["psys"] if same else ["psys", "psys:1"])


@pytest.mark.parametrize(
    ("values", "domains"),
    [
        ((7, 7), ["psys"]),
        ((0, 0), ["psys", "psys:1"]),  # neither has ever counted: that shows nothing
        ((7, 8), ["psys", "psys:1"]),
        ((7, 8, 8), ["psys", "psys:1"]),  # a mirror of another than the first
    ],
)
def test_platform_zones_that_stand_still_at_one_value_count_once(
    root: Path, values: tuple[int, ...], domains: list[str]
) -> None:
    tree = FakePowercap(root, packages=0)
    for number, value in enumerate(values):
        tree.add_zone(f"p{number}", f"psys-{number}", f"intel-rapl:{number}")
        tree.set(f"p{number}", value * 1_000_000)
    assert [domain.name for domain in opened(root).domains] == domains


AS_NOBODY = """
import json, os, sys
from pathlib import Path
import encodings.ascii, permille.meters.rapl.meter, permille.meters.selection
from permille import plugins
from permille.meters import MeterUnavailable
for name in plugins.names("meters"):
    plugins.load("meters", name)  # before the user changes: it may not read the source
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    permille.meters.rapl.meter.open_meter(Path(sys.argv[1]))
except MeterUnavailable as error:
    said = [error.forbidden, str(error)]
opened = permille.meters.selection.open_all(["rapl", "estimate"])
said.append([domain.provenance for meter in opened.meters for domain in meter.domains])
said.append([[missing.name, missing.forbidden, missing.remedy] for missing in opened.unavailable])
print(json.dumps(said))
"""


def test_unreadable_by_this_user(open_to_all: Path) -> None:
    tree = FakePowercap(open_to_all / "powercap")
    for zone in tree.zones:
        tree.counter(zone).chmod(0o400 if os.geteuid() == 0 else 0)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(tree.root)],
        env=os.environ | {"PERMILLE_POWERCAP": str(tree.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    forbidden, said, provenances, unavailable = json.loads(done.stdout)
    assert forbidden
    assert "0440 root power" in said  # a group
    assert "CAP_DAC_READ_SEARCH" in said
    assert "o+r" not in said
    # An estimate in its place, labelled, and the remedy kept.
    assert provenances == ["estimated", "estimated"]
    assert unavailable[0][:2] == ["rapl", True]
    assert "0440 root power" in unavailable[0][2]


@pytest.mark.parametrize(
    ("processor", "kind", "bound"),
    [
        (Processor("GenuineIntel", 6, 0x3F, "Intel(R) Xeon(R) E5-2690 v3"), "cpu", 0.05),
        (Processor("GenuineIntel", 6, 0x2D, "Intel(R) Xeon(R) E5-2690"), "cpu", 0.15),
        (Processor("AuthenticAMD", 23, 0x31, "AMD EPYC 7742"), "cpu", 0.15),
        (Processor("", None, None, ""), "cpu", 0.15),
        (Processor("GenuineIntel", 6, 0x3F, "Intel(R) Xeon(R) E5-2690 v3"), "dram", 0.10),
        (Processor("GenuineIntel", 6, 0x9E, "Intel(R) Core(TM) i7-8700"), "dram", 0.25),
        (Processor("GenuineIntel", 6, 0x9E, "Intel(R) Core(TM) i7-8700"), "node", 0.20),
    ],
)
def test_accuracy_has_a_source(processor: Processor, kind: str, bound: float) -> None:
    got, source = accuracy(kind, processor)  # type: ignore[arg-type]
    assert got == bound
    assert f"±{bound:.0%}".replace("%", " %") in source
