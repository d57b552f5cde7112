"""Which node makes which block, and which nodes may take part at all."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.errors import EngineError
from permille.records.cell import Cell
from permille.records.machine import Environment, MachineState
from permille.study.engines import gathering
from permille.study.engines.assignment import MOST_LOST, Assignments, pairs_of_kinds
from permille.study.engines.messages import NodeHello
from permille.study.engines.protocol import RunOptions
from permille.study.engines.ray_slots import (
    Slot,
    check_slots,
    chosen,
    gpu_slots,
    joined,
    node_slots,
)
from permille.study.plan.cells import PlannedCell
from permille.study.run.blocks import Block
from permille.version import __version__
from permille.workload.samples import Dataset
from permille.workload.specs import ModelSpec


def _cell(name: str) -> PlannedCell:
    return PlannedCell(
        cell=Cell(
            id=name, task="t", dataset="d", model=name, category="task-specific", backend="b"
        ),
        model=ModelSpec(id=name, backend="b", category="task-specific"),
        dataset=Dataset(name="d", samples=(), digest="", labels=(), usable_total=0),
    )


def _blocks(count: int) -> list[Block]:
    return [Block("t", "d", repeat, (_cell("a"), _cell("b"))) for repeat in range(count)]


@given(data=st.data(), nodes=st.integers(1, 5), count=st.integers(0, 12))
def test_every_cell_of_every_block_arrives_once_whichever_nodes_are_lost(
    data: st.DataObject, nodes: int, count: int
) -> None:
    """A block is lost at most twice here, and one node stays."""
    names = [f"n{i}" for i in range(nodes)]
    work = Assignments(dict.fromkeys(names, "k"), {"k": iter(_blocks(count))})
    arrived: Counter[tuple[int, str]] = Counter()
    blocks: dict[str, Block] = {}
    losses = 0
    while True:
        for node in work.idle():
            block = work.next(node)
            if block is not None:
                blocks[node] = block
        if not work.busy:
            break
        node = data.draw(st.sampled_from(sorted(blocks)))
        made = data.draw(st.integers(0, len(blocks[node].cells)))
        for planned in blocks[node].cells[:made]:
            arrived[blocks[node].repeat, planned.cell.id] += 1
            work.arrived(node, planned.cell.id)
        if made < len(blocks[node].cells):
            if len(work.nodes) > 1 and losses < MOST_LOST - 1:
                losses += 1
                assert work.lost(node) is not None
            else:
                for planned in blocks[node].cells[made:]:
                    arrived[blocks[node].repeat, planned.cell.id] += 1
                    work.arrived(node, planned.cell.id)
                work.ended(node)
        else:
            work.ended(node)
        del blocks[node]
    assert arrived == Counter({(r, c): 1 for r in range(count) for c in ("a", "b")})
    assert work.abandoned == 0


@given(data=st.data(), nodes=st.integers(2, 5), count=st.integers(1, 6))
def test_every_cell_of_every_block_arrives_from_as_many_machines_as_are_left(
    data: st.DataObject, nodes: int, count: int
) -> None:
    replicas = data.draw(st.integers(1, nodes))
    names = [f"n{i}" for i in range(nodes)]
    before = {"a": ("n0", "gone")[: replicas - 1], "b": ()}
    made = {
        (repeat, cell): set(before[cell]) if repeat == 0 else set()
        for repeat in range(count)
        for cell in before
    }
    work = Assignments(
        dict.fromkeys(names, "k"),
        {"k": iter(_blocks(count))},
        replicas=replicas,
        made={"k": lambda cell, repeat: tuple(before[cell]) if repeat == 0 else ()},
    )
    blocks: dict[str, Block] = {}
    losses = data.draw(st.integers(0, MOST_LOST - 1))
    while True:
        for node in work.idle():
            block = work.next(node)
            if block is not None:
                blocks[node] = block
        if not work.busy:
            break
        node = data.draw(st.sampled_from(sorted(blocks)))
        block = blocks.pop(node)
        dies = losses and data.draw(st.booleans())
        most = len(block.cells) - 1 if dies else len(block.cells)
        for planned in block.cells[:most]:
            assert node not in made[block.repeat, planned.cell.id]
            made[block.repeat, planned.cell.id].add(node)
            work.arrived(node, planned.cell.id)
        if dies:
            losses -= 1
            assert work.lost(node) is not None
        else:
            work.ended(node)
    short = sum(replicas - len(machines) for machines in made.values())
    assert all(len(machines) <= replicas for machines in made.values())
    assert work.incomplete() == work.abandoned == short
    if len(work.nodes) >= replicas:
        assert short == 0
    for machines in made.values():
        if len(machines) < replicas:
            assert set(work.nodes) <= machines


def test_a_block_with_replicas_that_takes_its_nodes_down_is_not_given_to_further_ones() -> None:
    names = [f"n{i}" for i in range(MOST_LOST + 2)]
    work = Assignments(dict.fromkeys(names, "k"), {"k": iter(_blocks(1))}, replicas=2)
    for node in names[:MOST_LOST]:
        assert work.next(node) is not None
        work.lost(node)
    assert work.next(names[-1]) is None
    assert work.abandoned == 4


def test_a_replica_that_is_lost_after_its_block_was_given_up_counts_once() -> None:
    names = [f"n{i}" for i in range(MOST_LOST + 1)]
    work = Assignments(dict.fromkeys(names, "k"), {"k": iter(_blocks(1))}, replicas=2)
    for node in names:
        assert work.next(node) is not None
        if node != names[0]:  # the first goes on
            work.lost(node)
    assert work.abandoned == 2
    work.lost(names[0])
    assert work.abandoned == 4


def test_a_block_that_loses_its_node_again_and_again_is_abandoned() -> None:
    names = [f"n{i}" for i in range(MOST_LOST + 1)]
    work = Assignments(dict.fromkeys(names, "k"), {"k": iter(_blocks(1))})
    for node in names[: MOST_LOST - 1]:
        assert work.next(node) is not None
        assert work.lost(node) is not None
    assert work.next(names[MOST_LOST - 1]) is not None
    assert work.lost(names[MOST_LOST - 1]) is None
    assert work.abandoned == 2
    assert work.next(names[MOST_LOST]) is None


def test_a_trial_that_a_node_did_not_send_counts_as_not_made() -> None:
    work = Assignments({"n": "k"}, {"k": iter(_blocks(1))})
    work.next("n")
    work.arrived("n", "a")
    work.ended("n")
    assert work.abandoned == 1


def test_without_a_node_of_its_kind_the_rest_is_counted() -> None:
    work = Assignments({"n": "k"}, {"k": iter(_blocks(3))})
    work.next("n")
    assert work.lost("n") is not None
    assert work.abandon("k") == 6


def test_a_task_and_dataset_is_measured_by_one_kind_the_one_that_has_trials_of_it() -> None:
    keys = [("t", f"d{i}", model) for i in range(6) for model in ("m", "n")]
    dealt = pairs_of_kinds(keys, {"big": 2, "small": 1}, {("t", "d0"): "small"}, {})
    assert ("t", "d0") in dealt["small"]
    assert not dealt["big"] & dealt["small"]
    assert dealt["big"] | dealt["small"] == {key[:2] for key in keys}
    assert len(dealt["big"]) > len(dealt["small"])


def _hello(version: str = __version__, plan: str = "p", machine: str = "m1") -> NodeHello:
    facts = {"cpu": machine, "python": "3.11"}
    return NodeHello(
        version=version, environment=Environment(fingerprint=machine, facts=facts), plan=plan
    )


def test_nodes_that_would_not_measure_the_same_are_refused_before_anything_is_measured() -> None:
    with pytest.raises(EngineError, match=r"node b has permille 9\.9"):
        gathering.check({"a": _hello(), "b": _hello(version="9.9")}, "p")
    with pytest.raises(EngineError, match="node b makes another plan"):
        gathering.check({"a": _hello(), "b": _hello(plan="q")}, "p")


def test_kinds_of_machines_are_noted_with_what_differs() -> None:
    assert gathering.notes({"a": _hello(), "b": _hello()}) == []
    (note,) = gathering.notes({"a": _hello(), "b": _hello(), "c": _hello(machine="m2")})
    assert "2 kinds (2 like a; 1 like c)" in note
    assert "cpu m1 / m2" in note
    assert "python" not in note


def _on(machine: str | None, kind: str = "m1") -> NodeHello:
    return msgspec.structs.replace(_hello(machine=kind), machine=machine)


def test_replicas_need_as_many_machines_of_one_kind() -> None:
    three = {"a": _on("1"), "b": _on("2"), "c": _on("3", "m2")}
    assert gathering.check_replicas(three, 2) == ["m2"]
    with pytest.raises(EngineError, match=r"the nodes are 2 machines of one kind \(cpu m1 / m2\)"):
        gathering.check_replicas(three, 3)
    same = {"a": _on("1"), "b": _on("1")}
    with pytest.raises(EngineError, match="the nodes are 1 machine at most; start more nodes"):
        gathering.check_replicas(same, 2)
    with pytest.raises(EngineError, match="node b has no machine id"):
        gathering.check_replicas({"a": _on("1"), "b": _on(None)}, 2)


def test_states_that_differ_between_nodes_whose_trials_are_pooled_are_noted() -> None:
    old = msgspec.structs.replace(_hello(), state=MachineState(gpu_driver="550.1"))
    new = msgspec.structs.replace(_hello(), state=MachineState(gpu_driver="570.2"))
    (note,) = gathering.notes({"a": old, "b": new})
    assert "differ in GPU driver 550.1 / 570.2; their trials are pooled" in note


def test_nodes_of_a_ray_cluster_that_can_be_reserved() -> None:
    def node(id: str, host: str, alive: bool = True, **resources: float) -> dict[str, object]:
        return {"NodeID": id, "NodeManagerHostname": host, "Alive": alive, "Resources": resources}

    listed = [
        node("1", "head", memory=1.0),
        node("2", "b", CPU=4.0),
        node("3", "a", CPU=4.0, GPU=1.0),
        node("4", "gone", alive=False),
        node("555555555", "b", CPU=4.0),
    ]
    assert list(chosen(listed, None)) == ["a", "b/2", "b/555555"]
    assert list(chosen(listed, 1)) == ["a"]
    with pytest.raises(EngineError, match="--machines 4: the Ray cluster has 3"):
        chosen(listed, 4)
    nodes = chosen(listed, None)
    assert node_slots(nodes)["a"] == Slot("3", 4.0, 1.0)
    four = RunOptions(engine={"replicas-of-block": "4"})
    with pytest.raises(EngineError, match="--replicas-of-block 4: the Ray cluster has 3 nodes"):
        check_slots(node_slots(nodes), four)
    with pytest.raises(EngineError, match="no node with a CPU"):
        chosen(listed[:1], None)
    known = {"2": "b", "3": "a"}
    assert list(joined(listed, None, known)) == ["b/555555"]
    assert list(joined(listed, 3, known)) == ["b/555555"]
    assert joined(listed, 2, known) == {}
    gone = [dict(one, Alive=one["NodeID"] != "2") for one in listed]
    assert list(joined(gone, 2, known)) == ["b/555555"]  # in the place of one that is lost
    assert list(joined([*listed, node("6", "c", CPU=1.0)], None, known)) == ["b/555555", "c"]


def test_each_gpu_of_a_node_is_a_slot_with_its_share_of_the_cpus() -> None:
    nodes = {
        "a": {"NodeID": "1", "Resources": {"CPU": 13.0, "GPU": 4.0}},
        "b": {"NodeID": "2", "Resources": {"CPU": 1.0, "GPU": 2.0}},
        "c": {"NodeID": "3", "Resources": {"CPU": 8.0}},
    }
    slots = gpu_slots(nodes)
    assert list(slots) == ["a/1", "a/2", "a/3", "a/4", "b/1", "b/2"]
    assert (slots["a/4"], slots["b/1"]) == (Slot("1", 3, 1), Slot("2", 0.5, 1))
    options = RunOptions(engine={"per": "gpu"})
    check_slots(slots, options)
    with pytest.raises(EngineError, match="no node of the Ray cluster has a GPU"):
        check_slots(gpu_slots({"c": nodes["c"]}), options)
    seven = RunOptions(engine={"per": "gpu", "replicas-of-block": "7"})
    with pytest.raises(EngineError, match="the Ray cluster has 6 GPUs that can be reserved"):
        check_slots(slots, seven)
