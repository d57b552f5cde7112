"""Metadata of the runs of *Power Hungry Processing*: task, dataset, model, quality.

``emissions/complete/`` has one file per (task, dataset), whose rows join to the runs on ``run_id``;
``lengths/complete/``, ``model_parameters.csv`` and ``performance.csv`` join on dataset and model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from permille.importers import Tally
from permille.importers import trials as build
from permille.importers.reading.files import Member, Source
from permille.importers.reading.rows import BadValue, not_negative, rows, text, whole
from permille.records import Record
from permille.records.answers import Quality
from permille.records.cell import Category

_TASKS = {
    "fillmask": "fill-mask",
    "image_class": "image-classification",
    "itt": "image-to-text",
    "obj_detection": "object-detection",
    "qa": "question-answering",
    "sentiment": "text-classification",
    "summarize": "summarization",
    "text_classif": "text-classification",
    "textgen": "text-generation",
    "token_classif": "token-classification",
    "tti": "text-to-image",
}
_DATASETS = {
    "CPPE": "CPPE-5",
    "bookcorpus": "BookCorpus",
    "c4": "C4",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "cnn": "CNN-DailyMail",
    "coco": "COCO",
    "conll2003": "CoNLL2003",
    "diffusiondb": "DiffusionDB",
    "imagenet": "ImageNet1K",
    "imagereward": "ImageReward",
    "imdb": "IMDB",
    "oscar": "OSCAR",
    "record": "ReCoRD",
    "redcaps": "RedCaps",
    "samsum": "SAMSum",
    "sciq": "SciQ",
    "sd_prompts": "SD Prompts",
    "squad": "SQuAD",
    "squad2": "SQuAD v2",
    "squadv2": "SQuAD v2",
    "sst2": "SST2",
    "tomatoes": "Rotten Tomatoes",
    "visualgenome": "Visual Genome",
    "wikiann": "WikiANN",
    "wikitext": "WikiText",
    "xsum": "XSum",
}
_FILE = re.compile(
    rf"(?P<zero>zeroshot_)?(?P<task>{'|'.join(_TASKS)})_(?P<dataset>{'|'.join(_DATASETS)})"
    r"(?P<bloomz>_bloomz)?(?P<resized>_resized)?(?P<short>_15)?"
)
_LEFT_OUT = ("SG161222/Realistic_Vision_V1.4", "stabilityai/stable-diffusion-2-1-base")
_IMAGES = ("image-classification", "image-to-text", "object-detection")
_MISLABELLED = {"sshleifer/distilbart-cnn-6-6": "sshleifer/distilbart-xsum-12-6"}
"""30 runs of one model are logged under the name of the other."""

_SCORED_MODELS = {
    "twitter-roberta-base-sentiment-latest": "cardiffnlp/twitter-roberta-base-sentiment-latest"
}
_SCORES = {
    "sst2 (acc)": ("SST2", "accuracy"),
    "imdb (acc)": ("IMDB", "accuracy"),
    "tomatoes (acc)": ("Rotten Tomatoes", "accuracy"),
    "sciq (acc)": ("SciQ", "accuracy"),
    "squad (f1)": ("SQuAD", "f1"),
    "squad_v2 (f1, has answer)": ("SQuAD v2", "f1 (has answer)"),
    "samsum (rouge)": ("SAMSum", "rouge"),
    "xsum (rouge)": ("XSum", "rouge"),
    "cnn (rouge)": ("CNN-DailyMail", "rouge"),
}
_LENGTH_DATASETS = {
    "cnn": "CNN-DailyMail",
    "imdb": "IMDB",
    "rotten_tomatoes": "Rotten Tomatoes",
    "samsum": "SAMSum",
    "sciq": "SciQ",
    "squad": "SQuAD",
    "squad_2_": "SQuAD v2",
    "sst": "SST2",
    "xsum": "XSum",
}
# The files of lengths shorten these names.
_LENGTH_MODELS = {
    "bigscience/bloomz-1b": "bigscience/bloomz-1b7",
    "bigscience/bloomz-7b": "bigscience/bloomz-7b1",
}


MOST_HELD = 100_000
"""The most runs or models about which something is held; the study has 6,513 runs."""


class Place(Record):
    """A run's cell, its number in the cell, and whether the paper includes it."""

    task: str
    dataset: str
    category: Category
    set_name: str
    repeat: int
    in_paper: bool


class Lengths(Record):
    """Sums over the samples of a (dataset, model), in the study's unit."""

    input: float = 0.0
    output: float = 0.0


class Study:
    """Metadata of the study's runs and models."""

    def __init__(self) -> None:
        # Of all files at once, since a run's file and the files about it come in any order.
        self.places: dict[str, Place] = {}
        self.params: dict[str, int] = {}
        self.quality: dict[tuple[str, str], Quality] = {}
        self.lengths: dict[tuple[str, str], Lengths] = {}


def read_study(source: Source, tally: Tally) -> Study:
    """Read all files except those of the runs."""
    study = Study()
    readers = {
        "model_parameters.csv": _read_params,
        "performance.csv": _read_quality,
    }
    for member in source.members(lambda *_: None):  # reported with the runs
        path = PurePosixPath(source.path.resolve().name, member.name)  # it may be "emissions"
        if path.parts[-3:-1] == ("emissions", "complete") and path.suffix == ".csv":
            _read_places(member, tally, study)
        elif path.parts[-3:-1] == ("lengths", "complete") and path.suffix == ".csv":
            _read_lengths(member, tally, study)
        elif path.name in readers:
            readers[path.name](member, tally, study)
    return study


def model_name(logged: str) -> str:
    """The model that ran under a logged name."""
    return _MISLABELLED.get(logged, logged)


def paper_set(file: re.Match[str], model: str) -> bool:
    """Whether the published tables include the runs of ``model`` in a complete file."""
    # The repository has twice as many runs as the paper (6,513 and 3,120) and does not mark the
    # paper's. With this choice, permille reproduce gets the published tables.
    if _TASKS[file["task"]] in _IMAGES:
        return bool(file["resized"])
    if file["zero"]:
        family = "bigscience/bloomz" if file["bloomz"] else "google/flan-t5"
        return model.startswith(family)
    return model not in _LEFT_OUT


def _read_places(member: Member, tally: Tally, study: Study) -> None:
    stem = PurePosixPath(member.name).stem
    file = _FILE.fullmatch(stem)
    if file is None:
        tally.leave_out(member.name, None, "no task and dataset in this name")
        return
    repeats: dict[str, int] = {}
    for at, row in rows(member, tally, ("run_id", "project_name")):
        run_id, logged = text(row, "run_id"), text(row, "project_name")
        if run_id is None or logged is None:
            tally.leave_out(member.name, at, "run_id or project_name is missing")
            continue
        model = model_name(logged)
        repeats[model] = repeats.get(model, 0) + 1
        if _is_full(study.places, member, at, tally):
            return
        # As long as a run's own id may be (codecarbon/rows.py).
        study.places[run_id[: build.MAX_NAME]] = Place(
            task=_TASKS[file["task"]],
            dataset=_DATASETS[file["dataset"]],
            category="general-purpose" if file["zero"] else "task-specific",
            set_name=stem,
            repeat=repeats[model] - 1,
            in_paper=paper_set(file, model),
        )


def _is_full(known: Mapping[Any, object], member: Member, at: int, tally: Tally) -> bool:
    """Whether no more is held of this kind; the file is then left out from here on."""
    if len(known) < MOST_HELD:
        return False
    tally.leave_out(member.name, at, f"more than {MOST_HELD:,} of them: not the study's data")
    return True


def _read_params(member: Member, tally: Tally, study: Study) -> None:
    for at, row in rows(member, tally, ("model_name", "num_parameters")):
        if _is_full(study.params, member, at, tally):
            return
        try:
            study.params[row["model_name"].strip()] = whole(row, "num_parameters")
        except BadValue as error:
            tally.leave_out(member.name, at, str(error))


def _read_quality(member: Member, tally: Tally, study: Study) -> None:
    for at, row in rows(member, tally, ("model", *_SCORES)):
        if _is_full(study.quality, member, at, tally):
            return
        model = _SCORED_MODELS.get(row["model"].strip(), row["model"].strip())
        for column, (dataset, metric) in _SCORES.items():
            try:
                value = not_negative(row, column)
            except BadValue as error:
                tally.leave_out(member.name, at, str(error))
                continue
            if value is not None:
                study.quality[dataset, model] = Quality(metric=metric, value=value, n=None)


def _read_lengths(member: Member, tally: Tally, study: Study) -> None:
    for at, row in rows(member, tally, ("Input", "Output", "model", "dataset")):
        if _is_full(study.lengths, member, at, tally):
            return
        dataset = _LENGTH_DATASETS.get(row["dataset"].strip().lower())
        model = _LENGTH_MODELS.get(row["model"].strip(), row["model"].strip())
        if dataset is None:
            tally.leave_out(member.name, at, f"unknown dataset {row['dataset'][:40]!r}")
            continue
        try:
            given, made = not_negative(row, "Input") or 0, not_negative(row, "Output") or 0
        except BadValue as error:
            tally.leave_out(member.name, at, str(error))
            continue
        so_far = study.lengths.get((dataset, model), Lengths())
        # The files have a line for each sample.
        study.lengths[dataset, model] = Lengths(
            input=so_far.input + given, output=so_far.output + made
        )


_FAMILIES = (
    ("bloomz", "BLOOMz"),
    ("bloom", "BLOOM"),
    ("flan-t5", "Flan-T5"),
    ("blip2", "BLIP-2"),
    ("blip", "BLIP"),
)


def architecture(model: str) -> str | None:
    """The family of general-purpose and captioning models, from their names."""
    name = model.rpartition("/")[2].lower()
    return next((family for part, family in _FAMILIES if part in name), None)
