"""What a run says of itself: cells done, energy so far, and no time left that is made up."""

from __future__ import annotations

import pytest

from permille.cli.progress import TimeLeft, View
from permille.study.engines.protocol import NodeRests
from permille.study.run.attempt import Turn
from permille.study.run.reference import reference_cell
from permille.study.run.schedule import NotRun


def test_time_left_counts_only_cells_that_were_tried_and_says_so() -> None:
    left = TimeLeft({"a": 2, "b": 3})
    assert str(left) == "time left unknown so far (2 cells not tried yet)"
    left.finished("a", 60.0)
    assert (left.seconds(), left.unknown) == (60.0, 1)
    assert str(left) == "over 1 min 0 s left (1 cell not tried yet)"
    left.finished("b", 10.0)
    assert left.seconds() == 60.0 + 2 * 10.0
    assert str(left).endswith("left")
    assert left.cells_done == 0
    left.finished("a", 80.0)
    assert (left.seconds(), left.cells_done) == (20.0, 1)


def test_what_was_finished_before_is_not_waited_for() -> None:
    left = TimeLeft({"a": 0, "b": 1})
    assert (left.unknown, left.cells_done) == (1, 1)


def test_nodes_share_the_time_that_is_left() -> None:
    left = TimeLeft({"a": 5}, machines=4)
    left.finished("a", 10.0)
    assert left.seconds() == 10.0


def test_trials_that_are_left_out_are_not_waited_for() -> None:
    cell = reference_cell()
    view = View({cell.cell.id: 6}, 3, quiet=True)
    view._left.finished(cell.cell.id, 10.0)
    view.watch(NotRun(cell, 0, "given-up", "it failed three times"))  # was not due
    assert view._left.seconds() == pytest.approx(50.0)
    view.watch(NotRun(cell, 1, "left-out", "the same failure", trials=2))
    assert view._left.seconds() == pytest.approx(30.0)


def test_nodes_that_rest_or_are_lost_do_not_share_it() -> None:
    view = View({"a": 7}, 8, quiet=True, machines=["n0", "n1", "n2"])
    view._left.finished("a", 10.0)
    assert view._left.seconds() == pytest.approx(20.0)
    view.watch(NodeRests("lost"), "n1")
    assert view._left.seconds() == pytest.approx(30.0)
    view.watch(NodeRests("idle"), "n2")
    assert view._left.seconds() == pytest.approx(60.0)
    assert next(iter(view._of_machines())) == "3 nodes, 2 idle or lost"
    assert list(view._of_machines())[2:] == ["  n1: lost", "  n2: nothing to do"]
    view.watch(Turn(reference_cell(), 0, "idle"), "n2")
    assert view._left.seconds() == pytest.approx(30.0)


def test_each_node_has_a_line_up_to_twenty() -> None:
    view = View({"a": 4}, 2, quiet=True, machines=[f"n{i}" for i in range(25)])
    view.watch(Turn(reference_cell(), 0, "query", 3.0), "n1")
    lines = list(view._of_machines())
    assert lines[:3] == [
        "25 nodes",
        "  n0: waiting",
        "  n1: repeat 1 of 2: permille reference workload: query (about 3 s)",
    ]
    assert lines[-1] == "  … and 5 more"
    assert len(lines) == 22
