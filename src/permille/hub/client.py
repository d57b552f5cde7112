"""Calls to the Hub through its own client, with one-line errors."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from permille.errors import DatasetError, ModelError, PermilleError
from permille.hub.selection import Chosen, Wanted, choose
from permille.records import Record

TIMEOUT_S = 20.0
Kind = Literal["model", "dataset"]


class Fetched(Record):
    """A model on disk: the path that a backend opens (a file or a folder), its commit, and the path
    of each of its files."""

    path: Path
    folder: Path
    commit: str
    files: dict[str, Path]


def fetch(wanted: Wanted) -> Fetched:
    """The model's files, downloaded unless they are in the Hub's cache.

    A branch is resolved every time, so that a run records the commit it measured. Offline, it is
    the last commit in the cache.

    Raises:
        ModelError: the Hub has no such model, revision or file, it is gated, or cannot be reached;
            or, offline, it is not cached.
    """
    import huggingface_hub as hub

    at = f"model {wanted.model_id!r}: {wanted.repo} ({wanted.revision[:12]})"
    with one_line(ModelError, at, "model"):
        if is_offline():
            folder, there = _in_cache(wanted)
            chosen = _choose_cached(wanted, there)
        else:
            # Asked for first, because which files are needed depends on which there are: without
            # the list, a repository's other formats would be downloaded too.
            info = hub.HfApi().model_info(wanted.repo, revision=wanted.revision, timeout=TIMEOUT_S)
            chosen = choose(wanted, [file.rfilename for file in info.siblings or ()])
            folder = Path(
                hub.snapshot_download(
                    wanted.repo,
                    revision=wanted.revision,
                    # The patterns are fnmatch's: a name with [ in it would not match itself.
                    allow_patterns=[glob.escape(name) for name in chosen.names],
                )
            )
            if folder.name != info.sha:
                # The files were chosen by the list of another commit than the one that was
                # downloaded.
                raise ModelError(f"{at} moved to another commit during the download; run again")
    return _fetched(folder, chosen)


def cached(wanted: Wanted) -> Fetched | None:
    """The model's files as the Hub's cache has them, without a request; None if it has not all of
    them. A branch is at the last commit in the cache, which the Hub may have left since."""
    from huggingface_hub import errors

    try:
        folder, there = _in_cache(wanted)
        return _fetched(folder, choose(wanted, there))
    except (ModelError, OSError, errors.HFValidationError):
        return None  # LocalEntryNotFoundError is an OSError


def _in_cache(wanted: Wanted) -> tuple[Path, list[str]]:
    """The folder of a revision in the cache, and the names of the files in it."""
    import huggingface_hub as hub

    # No files are asked for: some that no backend needs are never cached, which the client takes
    # for an incomplete snapshot. choose() says which must be there.
    folder = Path(
        hub.snapshot_download(
            wanted.repo, revision=wanted.revision, local_files_only=True, allow_patterns=[]
        )
    )
    return folder, [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]


def _fetched(folder: Path, chosen: Chosen) -> Fetched:
    return Fetched(
        path=folder / chosen.main if chosen.main else folder,
        folder=folder,
        commit=folder.name,
        files={name: folder / name for name in chosen.names},
    )


def dataset_commit(repo: str, revision: str) -> str:
    """The current commit of a dataset's revision.

    Raises:
        DatasetError: the Hub has no such dataset or revision, it is gated, or cannot be reached.
    """
    import huggingface_hub as hub

    with one_line(DatasetError, f"dataset {repo} ({revision[:12]})", "dataset"):
        info = hub.HfApi().dataset_info(repo, revision=revision, timeout=TIMEOUT_S)
    return str(info.sha)


def is_offline() -> bool:
    """Whether the user has disabled network access for the Hub's client."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _choose_cached(wanted: Wanted, there: list[str]) -> Chosen:
    try:
        return choose(wanted, there)
    except ModelError as error:
        raise ModelError(
            f"{error}; only the Hub's cache is used, because HF_HUB_OFFLINE is set"
        ) from error


@contextlib.contextmanager
def one_line(kind: type[PermilleError], at: str, what: Kind) -> Iterator[None]:
    """Convert the client's errors to ``kind``, prefixed with ``at``."""
    from huggingface_hub import errors

    try:
        yield
    # The special errors first: one of a gated repository is also one of a missing repository.
    except errors.GatedRepoError as error:
        raise kind(
            f"{at} is gated: accept its conditions on its page on the Hub, and set HF_TOKEN"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise kind(
            f"{at}: the Hub has no such {what} (or it is private: set HF_TOKEN); "
            'for a local one, give its path = "…"'
        ) from error
    except errors.RevisionNotFoundError as error:
        raise kind(f"{at}: the Hub has no such revision of it") from error
    except errors.HFValidationError as error:
        raise kind(
            f'{at} is not an id on the Hub (owner/name); for a local {what}, give its path = "…"'
        ) from error
    # Online, the client raises this too if a request failed and the cache has no copy.
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        if not is_offline():
            raise kind(_unreachable(at, error)) from error
        raise kind(
            f"{at} is not in the Hub's cache, and HF_HUB_OFFLINE is set; unset it, or run once on "
            "a machine that has it"
        ) from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "no")
        raise kind(f"{at}: the Hub answers with status {status}; try again later") from error
    except (_transport_error(), OSError) as error:
        raise kind(_unreachable(at, error)) from error


def _unreachable(at: str, error: BaseException) -> str:
    message = " ".join(str(error).split())[:120]
    return (
        f"{at}: the Hub cannot be reached ({message}); connect, set HF_HUB_OFFLINE=1 to use "
        'its cache, or give a path = "…"'
    )


def _transport_error() -> Any:
    """The errors of the client's HTTP library: httpx or httpx2, depending on its version."""
    from huggingface_hub.errors import HfHubHTTPError

    return next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
