"""``--store s3://bucket/prefix``: the local file that stands for it, fetched before it is read."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from permille.errors import StoreError, UsageError

if TYPE_CHECKING:
    from permille.store import Store

_FILES_ONLY = ("import", "store")
"""Commands that change trials which were not measured here, or repair a file."""
_SHOWN = 5


def local_store(named: str, option: str = "--store") -> tuple[Path, str | None]:
    """The file of a store that an ``option`` names, and its URL if it is in object storage.

    Raises:
        UsageError: the URL is not usable.
    """
    if "://" not in named:
        return Path(named), None
    from permille.assets import cache_folder
    from permille.store.cloud.bucket import SCHEMES, check_url, is_url
    from permille.store.cloud.mirror import local_path

    if not is_url(named):
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise UsageError(f"{option}: {named.partition('://')[0]}:// is not one of {known}")
    url = check_url(named)
    return local_path(url, cache_folder()), url


def fetch(command: str, args: argparse.Namespace) -> None:
    """Bring the local file of a store in object storage up to date, before a command reads it.

    Raises:
        UsageError: the command takes only a file.
        StoreError: the bucket cannot be read.
    """
    url: str = args.store_url
    if command in _FILES_ONLY:
        raise UsageError(f"permille {command} works on files: {url} is in object storage")
    # Only a run may begin a store: for a reading command, a folder that is not there is a typing
    # error.
    _fetch(args.store, url, creates=command == "run")


def fetched_store(named: str, option: str) -> Path:
    """The file of a further store, which an ``option`` names; if it is in object storage, brought
    up to date.

    Raises:
        UsageError: the URL is not usable.
        StoreError: the bucket cannot be read.
    """
    path, url = local_store(named, option)
    if url is not None:
        _fetch(path, url, creates=False)
    return path


def _fetch(path: Path, url: str, *, creates: bool) -> None:
    from permille.escaping import plain
    from permille.store.cloud.bucket import Bucket
    from permille.store.cloud.mirror import pull

    bucket = Bucket(url, creates=creates)
    try:
        # The permissions with which folders of a cache are to be created (XDG Base Directory
        # Specification, specifications.freedesktop.org/basedir-spec/latest).
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(
            f"cannot create {path.parent}: {error.strerror}; name another with PERMILLE_CACHE"
        ) from error
    pulled = pull(path, bucket)
    for line in pulled.problems[:_SHOWN]:
        print(plain(f"permille: {url}: {line[:300]}"), file=sys.stderr)
    if pulled.refused > _SHOWN:
        print(plain(f"permille: {url}: {pulled.refused} objects are refused"), file=sys.stderr)


def called_store(args: argparse.Namespace) -> str:
    """The store as the user names it: its URL, if it is in object storage."""
    return str(args.store_url or args.store)


def origin_of(args: argparse.Namespace) -> str:
    """A name of the store that no other machine's store has."""
    if args.store_url is not None:
        return str(args.store_url)
    return f"{platform.node()}:{args.store.absolute()}"


@contextmanager
def measuring_store(args: argparse.Namespace) -> Iterator[Store]:
    """The store that a run writes. Before anything is measured, what an earlier run could not
    upload is put into the bucket.

    Raises:
        StoreError: the file cannot be opened, or the bucket not be written.
    """
    from permille.store import Store

    if args.store_url is None:
        with Store(args.store) as store:
            yield store
        return
    from permille.store.cloud.bucket import Bucket
    from permille.store.cloud.mirror import MirroredStore, push

    bucket = Bucket(args.store_url)
    # Before hours of measuring whose trials could not be stored there.
    bucket.check_writable()
    with MirroredStore(args.store, bucket) as store:
        push(store, bucket)
        yield store
        push(store, bucket)  # what an engine fetched from elsewhere
