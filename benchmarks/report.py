"""The JSON of a run -> docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = """# Beside its peers

Written by `make bench` from one run; do not edit. The numbers behind it are in `benchmarks/results/peers.json`.
"""

ACCURACY = """
## Error against a known trace

A fake powercap tree lies where each tool looks for it, and a process steps its counter every millisecond along a known power, as RAPL does: 60 W; or 20 W with bursts of 200 W for 0.3 s of every second; and 60 W with a counter that wraps, is reset, or whose file vanishes for a while, in the middle of each window. A window is a sleep between two readings of the clock; the truth is the trace's energy between them. permille's windows are spans, codecarbon's tasks (its own API for them), zeus's windows of its monitor. All run as root, which reading RAPL takes; permille's recorder then asks the kernel for its turn at once (SCHED_FIFO), which matters on a busy machine. The error is that of reading the counter; how right a real counter is comes on top, and is in permille's interval (`docs/meters.md`).

In each cell: the median of the errors' sizes, the worst error, and how many of the windows were refused, if any.
"""

OUTSIDE = """
permille states an interval with each figure. Of {n} figures {outside} had the truth outside it (aim: at most 5 %); of the part of the interval that comes from the window's edges alone, as if the meter were exact, {edges}. Peers state none.
"""

OVERHEAD = """
## Time added to an inference

CPU time of the process that runs the inferences beyond the same loop without the tool, by inference; medians, with least and most. The ways take turns. *Whole*: one window around all of them, its start and end included. *One by one*: each inference on its own, which in permille is the worker's loop, two readings of the clock; energy is worked out for the whole span.
"""

START = """
## Start

CPU seconds, medians; Python's own start included.
"""

GPU_TRACES = """
## Error on recordings of real GPUs

`benchmarks/gpu_traces.py` replays published recordings of an A100 and an RTX 3090 beside an external meter (Yang et al., SC24), as if the GPU had no energy counter: 200 random windows of each length. permille's column is its own meter, poller and arithmetic. The others are the tools' *arithmetic*, written from their source, not the tools themselves. zeus (`PowerMonitor.get_energy`): polls at half the update period, of which only new values are kept, and the trapezoid over those within the window; it reads the instant power where there is one. codecarbon (`GPUDevice.delta`): the last power times the time since the measurement before, once a second here; its default is 15 s, of which a shorter window gets one reading; it reads the average power. Both use the energy counter where there is one. In each cell: the median error and the worst; for permille also the refusals, the median of the stated half-width, and how often the truth was outside. `docs/meters.md` explains them. The numbers are in `benchmarks/results/gpu_traces.json`.
"""


FLEET = """
## A run over a thousand nodes

`benchmarks/fleet.py` gives the real driver, schedule and store {nodes} simulated nodes, which hand over {trials} trials of {cells} cells ([From a laptop to a cluster](cluster.md)) with small recordings; playing the nodes is left out. After nine tenths the run is given up and started again. It was measured on a busy machine with two processors, load average {load}: two thirds of the time by the clock, the process was not running: other work had the processors, or it waited for the disk. The numbers are in `benchmarks/results/fleet.json`.

| | by the clock | processor time |
| --- | --- | --- |
| trials brought into the store, a second | {trials_per_s} | {trials_per_cpu_s} |
| dealing one block of 10 trials | {block_ms} ms | {block_cpu_ms} ms |
| start over the store with nine tenths of the trials, until a block is dealt | {start_again_s} s | |

The greatest memory was {peak_mb} MB, the store {store_mb} MB. What would break first is the one process that stores: 1,000 nodes whose trials take a second each would fill it. Nodes then wait until their trial is taken, and nothing is lost. Longer trials, or a store for each part of the study and `permille store merge`, are the way out.
"""

LARGE_STORE = """
## A store of 15,000 cells

`benchmarks/large_store.py` makes a store of {cells} cells, closes it, which rolls it up, and runs reading commands on it. *Before* are the same steps by the version of 26 November 2026, before they were made quicker; *after, tenfold* is older than *after*, but for its *writing*, in transactions of 100,000 trials. *Sessions*: the trials have sessions, an idle phase, a quality and tokens (`--sessions`), as those of a study do; *before* is the version whose roll-up did not yet have the intervals over sessions, run within a quarter of an hour of *after*, with a load of 19 to 37 (writing and rolling up: about 10). In each cell: seconds by the clock, seconds of processor time, and the greatest memory. Machines are virtual with two processors, and other work took most of them: load average {load}. The processor time is what carries over, and even that varied by up to 40 % with the load. The numbers are in `benchmarks/results/large_store.json`.

"""

LARGE_STORE_END = """
`explore: figures` is what the explorer's server does until a page has its figures. The time of a reading command depends on the number of cells, except for `export codecarbon`, which has a line for each trial and reads them all.

The aims are 1 s and 200 MB for a command that reads the results of 100,000 trials, and 10 minutes on two cores for 10,000,000 trials in 15,000 cells. 100,000 trials with sessions in 512 cells meet the first: on two cores with nothing else to do, `results`, `results --json`, `compare` and the exports took 0.32 to 0.50 s and 32 to 89 MB. The tables here are of 15,000 cells, 30 times as many. On that busy machine, without sessions, `compare` takes 0.6 s, `results --json` and `export json` 1.0 to 1.1 s, and the table of `results` and the exports of flat rows 1.2 to 1.3 s; three runs of each in turn with the version before gave ratios of 0.62 for `results`, 0.70 for `export parquet` and 0.75 for `export csv`. `export parquet` needs 205 MB. With sessions, the processor time of `results` is 0.64 of that before, of `--json` and the exports about half, and the memory 0.68 to 0.82; the output is the same, byte for byte. With a load of 12, `results` took 1.7 s and the exports 1.5 s. Rolling up works out the intervals over sessions, which reading did: it takes a third longer.

A later version reads the same store of trials with sessions in less time and memory; its output is the same, byte for byte, Parquet included. Three runs of each in turn with the version before, with a load of 8 to 10, had these medians: `results` 0.76 of the processor time, `results --json` 0.65, `export csv` and `export json` 0.69, `compare` 0.85, `export parquet` 0.86. `results` now needs 153 MB (230 MB before), `--json` 180 MB (263), `compare` 145 MB (181), `export csv` 170 MB (244), `export json` 201 MB (266), `export parquet` 271 MB (346), of which duckdb itself takes more than 50: of 15,000 cells, the last two need more than 200 MB. With nothing else to do (one run, load 0.1, a machine of two cores), the processor time was 1.0 s for `compare`, 1.8 s for `results --json`, 2.0 s for `results`, `export json` and `export parquet`, and 2.7 s for `export csv`. There, 100,000 trials of 15,000 cells with sessions were written in 7.7 s and rolled up in 15.9 s.

The million trials were written and rolled up while the load average was 11 to 35, which makes processor time longer, too: 66 µs and 44 µs of it a trial. With a load of 1 to 2, writing one of 300,000 trials took 38 µs, and rolling up one of 40,000 took 36 µs. Of 10,000,000, on such a machine with nothing else to do, 6,300,000 were written in 8 min 55 s by the clock (85 µs each, with what it takes to make them); then other work began, and the run was stopped at 8,000,000. At that size almost every trial falls on another page of the index of uids, so that 10 kB go to the disk for a trial of 1.4 kB. So, with transactions of 20,000, 10,000,000 took about 14 minutes to write and, worked out, 3 to roll up.

Larger transactions write a page of that index for several trials at once. Of 200,000 rows of 1.3 kB added by SQLite alone to a table of 6,000,000 with such an index (load about 12), each cost 11.8 kB written and 77 to 99 µs by the clock in transactions of 20,000; 9.4 kB and 50 µs of 50,000; 7.4 kB and 38 to 48 µs of 100,000; 5.8 kB and 21 µs of 200,000. A merge now writes 64 MiB at a time, about 58,000 trials without a recording. *After, tenfold: writing* is with transactions of 100,000: 4.3 kB written, 60 µs by the clock and 26 µs of processor time a trial, 34 µs to roll it up, beside a load of up to 21.

A merge reads its sources in a process of its own, and takes over aggregates that its sources have. 300,000 trials of one rolled-up store of 15,000 cells, merged by both versions twice in turn on a machine with nothing else to do (which took 89 µs of processor time to roll up a trial, twice as much as those above): 52.7 and 54.6 s before, 33.4 and 30.3 s after, 0.59 of the time; processor time 61 s before, 41 to 46 s after, 192 and 185 MB. So a cluster's nodes, each of which rolls up its own store, share what one machine did.

*Two stores merged*: 10,000,000 trials come from two stores of 5,000,000, each of which its own process had written and rolled up (both at once, making the trials included: 9 minutes to write, 7 to roll up). The merge took 9 min 53 s by the clock, on two cores with nothing else to do that take 0.10 s for `sum(i * i for i in range(10**6))`, and 182 MB; the new store is rolled up when it ends. Two fifths of the same merge (6.24 of 14.45 GB) had taken 6 min 8 s, 14 minutes worked out for all of it, while a new store was written through a log, and while the pipe between the two processes held less than one message, so that they waited for each other in turn. Written one after the other by one process, 10,000,000 trials still take longer than the aim: 84 µs each and 36 µs to roll up, measured with 300,000 on that machine.

The memory in the tables was counted in 1,000 KiB: in MB it is 2.4 % more.
"""


def markdown(
    found: Mapping[str, Any],
    gpu_traces: Mapping[str, Any] | None = None,
    fleet: Mapping[str, Any] | None = None,
    large_store: Mapping[str, Any] | None = None,
) -> str:
    """The page; ``gpu_traces``: the rows of ``gpu_traces.py`` by tool; ``fleet``: what
    ``fleet.py`` prints; ``large_store``: what ``large_store.py`` wrote, by the name of its run."""
    machine, versions = found["machine"], found["versions"]
    peers = " and ".join(f"{name} {version}" for name, version in versions.items())
    lines = [
        HEAD,
        f"{found['date']}, {machine['cpu']}, {machine['cpus']} CPUs, {machine['system']}, Python"
        f" {machine['python']}; permille beside {peers}. {_load(found)} The figures are of this"
        " machine; what carries over are the ratios and the errors.",
    ]
    for part, write in (
        ("accuracy", _accuracy),
        ("overhead", _overhead),
        ("recorder", _recorder),
        ("start", _start),
    ):
        if part in found:
            lines += write(found[part]["found"])
    if gpu_traces is not None:
        lines += _gpu_traces(gpu_traces["tools"])
    if fleet is not None:
        load = " to ".join(f"{one:g}" for one in sorted(fleet["load"]))
        shown = {name: f"{value:,}" for name, value in fleet.items() if name != "load"}
        lines.append(FLEET.format(load=load, **shown))
    if large_store is not None:
        lines += _large_store(large_store)
    return "\n".join(lines).rstrip() + "\n"


def _large_store(runs: Mapping[str, Any]) -> list[str]:
    """A row for each step, a column for each run."""
    loads = [run[when] for run in runs.values() for when in ("load_before", "load_after")]
    columns = [{step["step"]: step for step in run["steps"]} for run in runs.values()]
    table = _table(
        ["step", *(f"{name}: {run['trials']:,} trials" for name, run in runs.items())],
        [
            [f"`{step}`", *(_took(of_run.get(step)) for of_run in columns)]
            for step in dict.fromkeys(step for of_run in columns for step in of_run)
        ],
    )
    load = f"{min(loads):.1f} to {max(loads):.1f}"
    cells = f"{next(iter(runs.values()))['cells']:,}"
    return [LARGE_STORE.format(cells=cells, load=load).rstrip() + "\n", *table, LARGE_STORE_END]


def _took(step: Mapping[str, Any] | None) -> str:
    if step is None:
        return ""
    seconds, cpu_s = (
        f"{s:.3g}" if s < 1000 else f"{s:,.0f}" for s in (step["seconds"], step["cpu_s"])
    )
    return f"{seconds} s, CPU {cpu_s} s, {step['memory_mb']:.0f} MB"


def _load(found: Mapping[str, Any]) -> str:
    parts = [v for v in found.values() if isinstance(v, dict) and "load_before" in v]
    loads = [load for part in parts for load in (part["load_before"], part["load_after"])]
    quick = " A quick run: few repeats." if any(part["quick"] for part in parts) else ""
    return f"Load average {min(loads):.1f} to {max(loads):.1f} meanwhile, its own included.{quick}"


def _accuracy(found: Mapping[str, Any]) -> list[str]:
    rows = found["rows"]
    tools = list(dict.fromkeys(row["tool"] for row in rows))
    table = _table(
        ["trace", "window", "windows", *tools],
        [
            [scenario, _seconds(seconds), str(group[0]["windows"]), *map(_errors, group)]
            for (scenario, seconds), group in _grouped(rows).items()
        ],
    )
    stated = [row for row in rows if row["with_interval"]]
    n, outside, edges = (
        sum(row[key] for row in stated) for key in ("with_interval", "outside", "outside_edges")
    )
    late = (
        ""
        if found["driver_in_real_time"]
        else "\nThe process that steps the counter could not be given priority: on a busy machine"
        " its lateness is in the errors of all.\n"
    )
    reasons = {row["scenario"]: row["reasons"][0] for row in rows if row["reasons"]}
    said = ["\nWhy permille refused, one example each:\n"]
    said += [f"- {scenario}: {reason}" for scenario, reason in reasons.items()]
    text = OUTSIDE.format(n=n, outside=outside, edges=edges)
    return [ACCURACY, *table, text, late, *(said if reasons else [])]


def _grouped(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, float], list[Any]]:
    groups: dict[tuple[str, float], list[Any]] = {}
    for row in rows:
        groups.setdefault((row["scenario"], row["seconds"]), []).append(row)
    return groups


def _errors(row: Mapping[str, Any]) -> str:
    if row["median"] is None:
        return "all refused"
    text = f"{_percent(row['median'])}, {_percent(row['worst'], sign=True)}"
    return text + (f"; {row['refused']} refused" if row["refused"] else "")


def _percent(share: float, *, sign: bool = False) -> str:
    size = abs(share)
    digits = 0 if size >= 0.1 else 1 if size >= 0.01 else 2 if size >= 0.001 else 3
    return f"{100 * share:{'+' if sign else ''},.{digits}f} %"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 0.1 else f"{seconds:g} s"


def _overhead(found: Mapping[str, Any]) -> list[str]:
    table = _table(
        ["tool", "way", "inference", "CPU added, us", "of the inference", "wall added, us"],
        [
            [
                {"reads": "two bare counter reads"}.get(row["tool"], row["tool"]),
                row["way"],
                row["inference"],
                f"{row['cpu_us']:.3g} [{row['cpu_us_least']:.3g}, {row['cpu_us_most']:.3g}]",
                _percent(row["cpu_us"] / row["bare_us"], sign=True),
                f"{row['wall_us']:.3g}",
            ]
            for row in found["added"]
        ],
    )
    loop, counted = found["empty_loop_ns"], found["instructions"]
    lines = [
        f"\nThe noise of the machine is larger than what permille's loop adds, so it is also shown"
        f" alone. Around empty inferences the worker's loop takes {loop['one_pass']:.0f} ns, a"
        f" plain loop {loop['plain']:.0f} ns: **{loop['added'] / 1000:.2f} us added to an"
        " inference** (aim: 1 us)."
    ]
    if counted:
        lines.append(
            f" By callgrind it is {counted['added']:,.0f} instructions ({counted['one_pass']:,.0f}"
            f" less {counted['plain']:,.0f})."
        )
    return [OVERHEAD, *table, "".join(lines)]


def _recorder(found: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        "\n## What the recorder takes\n",
        "Its process polls beside the workload. CPU time as a share of one core (aim: 0.5 %):\n",
        *_table(
            ["meter", "polls a second", "of one core", "deadlines missed"],
            [
                [
                    row["meter"],
                    f"{row['polls'] / row['seconds']:.0f}",
                    _percent(row["share_of_a_core"]),
                    str(row["missed"]),
                ]
                for row in found
            ],
        ),
    ]


def _gpu_traces(tools: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    others = ("zeus", "codecarbon")
    rows = []
    for ours, *theirs in zip(tools["permille"], *(tools[name] for name in others), strict=True):
        if ours["window_s"] not in (1.0, 2.0, 4.0, 8.0):
            continue
        stated = ""
        if ours["half_width_median"] is not None:
            given = ours["windows"] - ours["refused"]
            stated = (
                f"; ±{_percent(ours['half_width_median'])}, {ours['outside']} of {given} outside"
            )
        rows.append(
            [
                ours["recording"].replace("_", " "),
                ours["reading"],
                _seconds(ours["window_s"]),
                _signed(ours) + stated,
                *(_signed(row) for row in theirs),
            ]
        )
    head = ["recording", "power", "window", "permille", *(f"{name}'s rule" for name in others)]
    return [GPU_TRACES, *_table(head, rows)]


def _signed(row: Mapping[str, Any]) -> str:
    if row["error_median"] is None:
        return "all refused"
    median, worst = row["error_median"], row["error_worst"]
    text = f"{_percent(median, sign=True)}, {_percent(worst, sign=True)}"
    return text + (f"; {row['refused']} refused" if row["refused"] else "")


def _start(found: Sequence[Mapping[str, Any]]) -> list[str]:
    whole = {(row["tool"], row["what"]): row["cpu_s"] for row in found}
    rows = []
    for (tool, what), cpu_s in whole.items():
        against = whole.get(("codecarbon", what))
        ratio = f"{cpu_s / against:.2f}" if against and tool != "codecarbon" else ""
        rows.append([tool, what, f"{cpu_s:.3f}", ratio])
    return [START, *_table(["tool", "what", "CPU s", "of codecarbon's"], rows)]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "| " + " | ".join("---" for _ in head) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
