"""Make the shipped table of the study from an import of its data.

    permille import power-hungry-2023 raw.tar.xz --store study.db
    python scripts/build_study_table.py study.db

Writes src/permille/data/power_hungry_2023.{csv,json}.
"""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path

import msgspec

from permille.analysis.paper.published import NAME, About, Metering, to_row
from permille.analysis.study_cells import METERED, archive_of, from_trials
from permille.store import Store

DATA = Path(__file__).resolve().parent.parent / "src" / "permille" / "data"
CITATION = (
    "Luccioni, Jernite, Strubell: Power Hungry Processing: Watts Driving the Cost of AI"
    " Deployment? FAccT 2024, doi 10.1145/3630106.3658542, arXiv 2311.16863"
)
LICENCE = "MIT, (c) 2023 Sasha Luccioni; these figures are means and deviations of that data"
SOURCE = "github.com/sashavor/co2_inference, emissions of the query phase over the paper's set"
COLUMNS = (
    "kWh and seconds per 1,000 inferences, mean and sd (n - 1) over n runs; *_low and *_high: the"
    " meters' relative uncertainty (k = 2); lengths per inference in the study's unit;"
    " most_with_load_kwh: the largest run, loading included"
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the shipped table of the study.")
    parser.add_argument("store", type=Path)
    parser.add_argument("--to", type=Path, default=DATA)
    args = parser.parse_args()
    with Store(args.store, readonly=True) as store:
        archive = archive_of(store.trials(source=NAME))
        study = from_trials(store.trials(study=NAME), archive)
        first = next(store.trials(study=NAME))
    if archive is None:
        raise SystemExit(f"{args.store} does not hold the whole archive")
    # By task, dataset and model, so that a new import changes only the lines whose figures changed.
    cells = sorted(study.cells, key=lambda c: msgspec.structs.astuple(c.summary.cell)[1:4])
    rows = [to_row(cell) for cell in cells]
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    facts = first.environment.facts
    about = About(
        schema=1,
        name=NAME,
        citation=CITATION,
        licence=LICENCE,
        source=SOURCE,
        columns=COLUMNS,
        fingerprint=first.environment.fingerprint,
        device=first.device or "",
        machine={k: v for k, v in facts.items() if k != "logged_g_per_kwh"},
        notes=first.notes,
        metering={b: _metering(cells[0].summaries[b]) for b in METERED},
        accuracy={
            part.domain: (part.low, part.high)
            for part in cells[0].summary.parts
            if part.domain != "gpu:active"  # which differs from cell to cell
        },
        median_kwh={task: float(f"{kwh:.12g}") for task, kwh in study.median_kwh.items()},
        archive=archive,
    )
    args.to.mkdir(parents=True, exist_ok=True)
    (args.to / "power_hungry_2023.csv").write_text(table.getvalue())
    text = msgspec.json.format(msgspec.json.encode(about), indent=2)
    (args.to / "power_hungry_2023.json").write_bytes(text + b"\n")


def _metering(summary: object) -> Metering:
    return msgspec.convert(summary, Metering, from_attributes=True)


if __name__ == "__main__":
    main()
