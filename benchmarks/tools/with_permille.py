"""permille under test: windows are spans; one by one is the loop that its worker runs."""

from __future__ import annotations

from array import array
from typing import Any

from work import Way, bare, infer, same, serve, sleep_window

import permille
from permille.study.worker.queries import one_pass


def main() -> None:
    spans: list[tuple[str, int, int]] = []
    session = permille.record()

    def window(seconds: float) -> dict[str, Any]:
        name = str(len(spans))
        with session.span(name):
            t0_ns, t1_ns = sleep_window(seconds)
        spans.append((name, t0_ns, t1_ns))
        return {"t0_ns": t0_ns, "t1_ns": t1_ns}

    def whole(n: int, work: int) -> None:
        with session.span("whole"):
            bare(n, work)

    def one_by_one(n: int, work: int) -> None:
        one_pass(infer, [work] * n, array("q"), [])

    def end() -> list[dict[str, Any]]:
        session.__exit__(None, None, None)
        return [_figure(session, *span) for span in spans]

    ways: dict[str, Way] = {"bare": bare, "whole": whole, "one by one": one_by_one}
    session.__enter__()
    serve({name: same(way) for name, way in ways.items()}, window, end)


def _figure(session: permille.Session, name: str, t0_ns: int, t1_ns: int) -> dict[str, Any]:
    (measured,) = session.measured(name)
    domains = measured.phase.domains
    found = {"t0_ns": t0_ns, "t1_ns": t1_ns}
    if not domains:
        (problem,) = measured.phase.problems.values()
        return found | {"energy_j": None, "reason": problem.reason}
    (domain,) = domains.values()
    estimate = session[name].energy
    assert estimate is not None
    return found | {
        "energy_j": domain.energy_j,
        "edge_j": domain.edge_j,
        "low_j": estimate.low,
        "high_j": estimate.high,
    }


if __name__ == "__main__":
    main()
