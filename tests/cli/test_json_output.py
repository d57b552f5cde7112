"""What every command prints with ``--json`` is what its published schema says, and no more."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from permille import cli
from tests.conftest import Permille
from tests.powercap import Driver
from tests.study.test_find_knee import written as server_study
from tests.watch.metrics_server import serving

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs" / "reference" / "json"

MODELS = """
def bright(text):
    return "pos" if "good" in text else "neg"


def dim(text, prompt):
    return "pos" if sum(map(ord, text)) % 2 else "neg"


def broken(text):
    raise ValueError("no such word")
"""
STUDY = """
[study]
name = "shapes"
inferences = 4
repeats = 2
warmup = 0
idle_s = 0.0

[[models]]
id = "bright"
backend = "python"
callable = "models:bright"
category = "task-specific"

[[models]]
id = "dim"
backend = "python"
callable = "models:dim"
category = "general-purpose"
prompt = "Is this good? {text}"

[[models]]
id = "broken"
backend = "python"
callable = "models:broken"
category = "task-specific"

[[tasks]]
task = "text-classification"
datasets = [{ path = "rows.jsonl", text = "text", label = "label" }]
"""
ROWS = '{"text": "good day", "label": "pos"}\n{"text": "bad day", "label": "neg"}\n'
CODECARBON = (
    "timestamp,project_name,run_id,duration,emissions,energy_consumed,cpu_energy,gpu_energy,"
    "ram_energy\n2024-01-01T00:00:00,p,r1,10,0.001,0.003,0.001,0.001,0.001\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "rows.jsonl").write_text(ROWS)
    (tmp_path / "emissions.csv").write_text(CODECARBON)
    return tmp_path


@pytest.mark.measuring
def test_every_command_prints_what_its_schema_says(
    folder: Path, permille: Permille, powercap: Driver
) -> None:
    checked = set()

    def check(name: str, *args: str, code: int = 0) -> Any:
        finished = permille(*args, code=code)
        for document in documents(finished.out):
            validate(name, document)
        checked.add(name)
        return finished

    lines = check("run --json-lines", "run", "study.toml", "--json-lines", code=1).out
    uid = json.loads(lines.splitlines()[0])["trial"]
    check("run", "run", "study.toml", "--json", code=1)
    check("run --dry-run", "run", "study.toml", "--dry-run", "--json")
    check("study check", "study", "check", "study.toml", "--json")
    check("trial", "trial", uid, "--json")
    check("results", "results", "--json", "--embodied-kg", "1", "--superseded")
    check("gate --against", "gate", "study.toml", "--against", "permille.db", "--json", code=1)
    check("compare", "compare", "bright", "dim", "--json")
    check("slo", "slo", "--json", "--latency-p50", "10s")
    check("audit", "audit", "--from", "permille.db", "--study", "shapes", "--json")
    check("parity", "parity", "--json", "--per-day", "1000")
    check("reproduce", "reproduce", "--json")
    check("regions", "regions", "--json", "france")
    check("presets", "presets", "--json")
    check("meters", "meters", "--json")
    check("measure", "measure", "--json", "-n", "3", "--idle", "0.3", "--", "sleep", "0.3")
    check(
        "measure, several commands",
        "measure",
        "--json",
        "--",
        "sleep",
        "0.3",
        "---",
        "sleep",
        "0.2",
    )
    check(
        "gate",
        "gate",
        "--json",
        "--rounds",
        "1",
        "--",
        "sleep",
        "0.3",
        "---",
        "sleep",
        "0.3",
        code=5,
    )
    search = ("--find-knee", "--latency-p50", "1ms", "--store", "knee.db", "--json")
    check("run --find-knee", "run", str(server_study(folder, "")), *search, code=4)
    with serving() as page:
        page.text = 'nv_inference_request_success{model="m"} 3\n'
        looks = ("--every", "1s", "--for", "1s")
        check("watch --json-lines", "watch", "--metrics", page.url, *looks, "--json-lines")
    check("import", "import", "codecarbon", "emissions.csv", "--store", "other.db", "--json")
    check("store check", "store", "check", "--json")
    check("store merge", "store", "merge", "all.db", "permille.db", "other.db", "--json")
    check("store repair", "store", "repair", "--store", "all.db", "--json")
    check("assets list", "assets", "list", "--json")
    # Fetching downloads, and prints the same record as listing.
    assert outputs()["assets fetch"] is outputs()["assets list"]
    assert checked == set(outputs()) - {"assets fetch"}


@pytest.mark.slow
def test_the_shipped_study_is_printed_as_the_schemas_say(permille: Permille) -> None:
    published = ("--study", "power-hungry-2023")
    validate("results", permille("results", "--json", *published).json)
    validate("audit", permille("audit", "--json").json)
    models = ("bloomz-7b1", "bloomz-3b")
    validate("compare", permille("compare", *models, "--json", *published).json)
    for table in ("2", "3", "4", "5", "claims"):
        validate("reproduce", permille("reproduce", "--json", "--table", table).json)


def test_no_command_takes_json_without_a_schema() -> None:
    taking = {prog for name in cli.COMMANDS for prog in taking_json(cli.parser_of(name))}
    named = {output.partition(" --")[0].partition(",")[0] for output in outputs()}
    assert taking == named


@pytest.mark.slow
@pytest.mark.parametrize("key", ["rows", "boundary", "schema"])
def test_a_document_that_lacks_a_key_does_not_fit(key: str) -> None:
    import jsonschema

    document = {
        "schema": 1, "boundary": "compute", "net": False, "carbon": {}, "equivalents": [],
        "superseded": 0, "rows": [], "damage": [],
    }  # fmt: skip
    del document[key]
    with pytest.raises(jsonschema.ValidationError):
        validate("results", document)


def outputs() -> dict[str, type]:
    found: dict[str, type] = {}
    for name in cli.COMMANDS:
        found |= getattr(importlib.import_module(cli.module_of(name)), "OUTPUTS", {})
    return found


def validate(name: str, document: Any) -> None:
    import jsonschema

    words = name.replace("--", "").replace(",", "").split()
    schema = json.loads((SCHEMAS / f"{'-'.join(words)}.schema.json").read_text())
    jsonschema.validate(document, closed(schema), cls=jsonschema.Draft202012Validator)


def closed(schema: Any) -> Any:
    """The same schema, which allows no key that it does not name."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {key: closed(part) for key, part in schema.items()}
    if "properties" not in schema:
        return parts
    return {**parts, "additionalProperties": False}


def documents(text: str) -> Iterator[Any]:
    """One document, or one a line."""
    try:
        yield json.loads(text)
    except json.JSONDecodeError:
        yield from map(json.loads, text.splitlines())


def taking_json(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The commands of a parser that have the option, without the program's name."""
    options = {option for action in parser._actions for option in action.option_strings}
    if options & {"--json", "--json-lines"}:
        words = parser.prog.removeprefix("permille ")
        choices = [a.choices for a in parser._actions if a.dest == "action" and a.choices]
        yield from ([f"{words} {choice}" for choice in choices[0]] if choices else [words])
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from taking_json(inner)
