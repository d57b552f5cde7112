"""Datasets by name: permille contains the rule that makes them; ``permille assets fetch`` downloads
the data.

``vader-movie-reviews``: the movie-review sentences of Hutto and Gilbert (VADER, ICWSM 2014),
each with the mean of human ratings from -4 to 4. The label is the rating's sign; sentences with
a rating within 0.5 of 0, on which people were undecided, are left out.

The split follows a rule: duplicates are removed; within each label the sentences are ordered by the
sha256 of a salt and the sentence; the first 500 are for testing, the next 2,000 for training. No
sentence is in both, and both are balanced.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator

from permille import assets
from permille.datasets import pairs
from permille.datasets.rows import Row
from permille.errors import DatasetError
from permille.workload.protocols import Task
from permille.workload.samples import Sample
from permille.workload.specs import DatasetSpec

NAMES = ("vader-movie-reviews",)

_TABLE = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
# A part of the dataset's definition: by another salt, sentences that the quick start's classifier
# was trained on (scripts/train_head.py) would be among those that it is scored on.
_SALT = "permille vader-movie-reviews 1"
_MIN_RATING = 0.5
_TEST_PER_LABEL = 500
_TRAIN_PER_LABEL = 2_000
_MAX_TABLE_BYTES = 8 << 20


def read(spec: DatasetSpec, task: Task) -> Iterator[Row]:
    """The rows of the test split of a bundled dataset.

    Raises:
        DatasetError: there is no such dataset, or it does not fit the task.
        AssetError: its data have not been fetched.
    """
    if spec.name not in NAMES:
        known = [*NAMES, *(pair.name for pair in pairs.all_pairs() if pair.task == task.name)]
        raise DatasetError(
            f"no dataset {spec.name!r} for {task.name}; available: {', '.join(known)}; for others, "
            'write { path = "inbox.jsonl", text = "body", label = "queue" } for your own file, '
            'or { hub = "owner/name", split = "test", text = …, label = … }'
        )
    if task.inputs != ("text",) or task.reference not in ("label", None):
        raise DatasetError(
            f"dataset {spec.name!r} has the columns text and label; {task.name} needs others"
        )
    return iter(movie_reviews()[0])


def movie_reviews() -> tuple[list[Sample], list[Sample]]:
    """``vader-movie-reviews``: 1,000 sentences for testing, 4,000 others for training.

    Raises:
        AssetError: the data have not been fetched.
        DatasetError: the table is not the expected one.
    """
    return split(_parse(_table()))


def split(rated: dict[str, tuple[str, float]]) -> tuple[list[Sample], list[Sample]]:
    """Split sentences, with their id and mean rating, into test and training samples."""
    test: list[Sample] = []
    train: list[Sample] = []
    for label, sign in (("negative", -1), ("positive", 1)):
        texts = [t for t, (_, rating) in rated.items() if rating * sign >= _MIN_RATING]
        texts.sort(key=lambda text: hashlib.sha256(f"{_SALT}\n{text}".encode()).digest())
        samples = [Sample(id=rated[t][0], inputs={"text": t}, reference=label) for t in texts]
        if len(samples) < _TEST_PER_LABEL + _TRAIN_PER_LABEL:
            raise DatasetError(f"vader-movie-reviews: only {len(samples)} {label} sentences")
        test += samples[:_TEST_PER_LABEL]
        train += samples[_TEST_PER_LABEL : _TEST_PER_LABEL + _TRAIN_PER_LABEL]
    return test, train


def _table() -> str:
    archive = assets.resolve("asset:vader-ratings/hutto_ICWSM_2014.tar.gz")
    try:
        with tarfile.open(archive, "r:gz") as tar:
            # Read in memory: nothing is unpacked, so that no member's path can lead elsewhere.
            member = tar.extractfile(_TABLE)
            if member is None:
                raise KeyError(_TABLE)
            with member:
                content = member.read(_MAX_TABLE_BYTES)
        return content.decode("utf-8")
    except (KeyError, tarfile.TarError, EOFError, OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{archive} cannot be read: {error}; run: permille assets fetch quickstart"
        ) from error


def _parse(table: str) -> dict[str, tuple[str, float]]:
    """Sentence -> (id, mean rating) from lines ``id TAB rating TAB sentence``; the first of equal
    sentences counts."""
    rated: dict[str, tuple[str, float]] = {}
    # Not splitlines(): some sentences contain NEL or another separator at which it would split.
    for line in io.StringIO(table, newline="\n"):
        fields = line.strip("\r\n").split("\t")
        if len(fields) == 3:
            row_id, rating, text = fields
            rated.setdefault(text.strip(), (row_id, float(rating)))
    return rated
