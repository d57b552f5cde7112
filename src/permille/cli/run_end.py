"""What ``permille run`` prints at its end: the table, the answer, and what the run itself cost."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence

from permille.analysis.answer import answers
from permille.analysis.cell_summary import Summary
from permille.analysis.comparable import place
from permille.analysis.results import Results, result_rows
from permille.analysis.summaries import summarise
from permille.carbon.settings import CarbonSettings
from permille.cli.arguments import default_store
from permille.cli.commands.results import show
from permille.cli.engines import starting_over
from permille.cli.missing_meters import notable
from permille.cli.object_storage import called_store
from permille.cli.source import reference_sentences
from permille.cli.streams import deliver
from permille.cli.terminal import console, print_json
from permille.escaping import plain
from permille.records.energy import Boundary
from permille.store import Store
from permille.study.engines.protocol import RunOutcome
from permille.study.plan.grid import Plan
from permille.study.run.tally import RunTally
from permille.units import counted, format_energy_kwh, format_seconds, format_share, kwh_from_joules


def show_results(
    plan: Plan,
    store: Store,
    carbon: CarbonSettings,
    outcome: RunOutcome,
    args: argparse.Namespace,
) -> None:
    """The table and the answer, or the table as JSON."""
    # Standard output has one line of JSON for each trial, and nothing else.
    if args.json_lines:
        return
    boundary: Boundary = args.boundary or "compute"
    protocols = plan.protocols
    # The store may also have trials of this study with other settings: they are not of this run.
    trials = (t for t in store.trials(study=plan.name) if protocols.get(t.cell.id) == t.protocol)
    # In the study's order: the order in which a block measures its models is drawn.
    places = {planned.cell.id: place for place, planned in enumerate(plan.cells)}
    summaries = summarise(trials, boundary, pool=args.pool)
    summaries.sort(key=lambda summary: places[summary.cell.id])
    rows = result_rows(summaries, carbon, net=args.net)
    reference = reference_sentences(store, plan.name)
    results = Results.of(rows, boundary, carbon, net=args.net, reference=reference)

    def tell() -> None:
        if args.json:
            print_json(results)
        else:
            show(results)
            _close(plan, summaries, outcome, args)

    deliver(tell)


def _close(
    plan: Plan,
    summaries: list[Summary],
    outcome: RunOutcome,
    args: argparse.Namespace,
) -> None:
    """Print the answer, failures, missing meters, the cost of the benchmark, and a next step."""
    from rich.text import Text

    out, tally = console(), outcome.tally

    def say(text: str, style: str = "") -> None:
        out.print(Text(plain(text), style=style), soft_wrap=True)

    out.print()
    # After the table: what is printed last stays in sight above the prompt.
    for sentence in answers(summaries, net=args.net):
        say(sentence, "bold")
    for text, style in _not_made(tally, args.engine):
        say(text, style)
    if tally.disturbed:
        made = counted(tally.made, "trial")
        say(
            f"other processes or the hypervisor disturbed {tally.disturbed} of this run's {made}"
            " (over 5 % of the CPU time): --quiet-machine makes such trials invalid"
        )
    for missing in notable(outcome.missing):
        # Without a remedy, nothing follows from the line; permille meters has it.
        if missing.remedy:
            words = f"{missing.reason}; to unlock it: {missing.remedy}"
            say(f"not measured: {missing.meter}: {words}", "dim")
    if tally.energy_j is not None:
        share = tally.recorder_cpu_s / tally.wall_s if tally.wall_s else 0.0
        # The sum of a part is no figure of the whole.
        least = "at least " if tally.uncounted else ""
        spent = format_energy_kwh(kwh_from_joules(tally.energy_j))
        say(
            f"this benchmark itself used {least}{spent}"
            f" in {format_seconds(tally.wall_s)} (recorder: {format_share(share, 1)} of one core)"
        )
    if tally.kept:
        say(f"{_trials(tally.kept)} already finished")
    say(f"next: {_next_command(_to_compare(summaries), args)}")


def _to_compare(summaries: Sequence[Summary]) -> list[str]:
    """Models, in the study's order, that can be compared with each other; none if no two can."""
    models: dict[tuple[str, ...], dict[str, None]] = {}
    for summary in summaries:
        if summary.energy is not None:
            models.setdefault(place(summary), {})[summary.cell.model] = None
    return next((list(names) for names in models.values() if len(names) > 1), [])


def _next_command(models: Sequence[str], args: argparse.Namespace) -> str:
    """A command that looks further at the results, for the shell."""
    # A ratio needs no grid. Without a region, a table has the world's average: one is proposed.
    words = (
        ["compare", models[-1], models[-2]] if len(models) > 1 else ["results", "--region", "FRA"]
    )
    store = called_store(args)
    # PERMILLE_STORE may name another one, which the command would read without --store.
    named = [] if store == default_store() else ["--store", store]
    return shlex.join(["permille", *words, *named])


def _not_made(tally: RunTally, engine: str) -> Iterator[tuple[str, str]]:
    """What became of the trials that this run did not make, with the style to print it in."""
    if tally.given_up:
        yield (
            f"{counted(tally.given_up, 'trial')} failed three times and will not be retried; once"
            f" the cause is fixed, start over with {starting_over(engine)}",
            "red",
        )
    if tally.left_out:
        yield (
            f"{_trials(tally.left_out)} skipped in this run, because a model fails for the same"
            " reason each time",
            "red",
        )
    if tally.lost:
        yield (
            f"{_trials(tally.lost)} not made or did not arrive; run the same command again",
            "red",
        )
    if tally.elsewhere:
        yield f"{_trials(tally.elsewhere)} made by another run of this study in the meantime", ""


def _trials(count: int) -> str:
    return counted(count, "trial was", "trials were")
