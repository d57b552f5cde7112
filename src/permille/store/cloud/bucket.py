"""The objects of one bucket and prefix, or of a folder: put, list and get, with one-line errors.

Credentials are those of the provider's usual environment variables, files and instance roles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from permille.errors import StoreError, UsageError
from permille.extras import extra
from permille.store.cloud.body import MOST_BYTES

SCHEMES = ("s3", "gs", "az", "file")

_FOLDER = "trials"
_ABOUT = "permille.txt"
_ABOUT_BODY = b"A store of permille: one object per trial, in trials/.\n"
_UID = re.compile(r"[0-9a-f]{32}")
_LISTED_AT_ONCE = 1000
_RETRY_FOR = timedelta(seconds=30)
_RETRIES = 3
_MOST_REASON = 400


class Listed(NamedTuple):
    """An object of a trial, and its size."""

    uid: str
    size: int


def is_url(text: str) -> bool:
    """Whether this names a store in object storage, rather than a file."""
    return text.partition("://")[0] in SCHEMES and "://" in text


def is_uid(text: str) -> bool:
    """Whether an object can be named after this trial; imported trials have other uids."""
    return _UID.fullmatch(text) is not None


def check_url(url: str) -> str:
    """The URL without a slash at its end.

    Raises:
        UsageError: it has no bucket or folder, or something that does not belong there, such as
            credentials, which end up in logs.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"--store: the URL is not valid ({error})") from error
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            "--store: a URL has only a bucket and a prefix; credentials come from the environment,"
            " such as AWS_ACCESS_KEY_ID"
        )
    if parts.scheme == "file" and (parts.netloc or not parts.path.strip("/")):
        raise UsageError("--store: a folder is named by its whole path: file:///folder")
    if parts.scheme != "file" and not parts.netloc:
        raise UsageError(f"--store: name a bucket: {parts.scheme}://bucket/prefix")
    return url.rstrip("/")


def _folder(url: str) -> Path:
    return Path(url2pathname(urlsplit(url).path))


class Bucket:
    """The objects at one URL. ``creates``: make the folder, if it is one and is not there.

    Raises:
        UsageError: obstore is not installed.
        StoreError: the URL or the environment's settings are not usable.
    """

    def __init__(self, url: str, *, creates: bool = False) -> None:
        with extra("cloud", "a store in object storage"):
            import obstore
            from obstore import exceptions, store
        self.url = url
        if not creates and url.startswith("file://") and not _folder(url).exists():
            raise StoreError(f"there is no store at {url}: no such folder")
        self._api, self._errors = obstore, exceptions
        with self._errors_explained("open"):
            if url.startswith("file://"):
                self._store = store.from_url(url, mkdir=creates)
            else:
                self._store = store.from_url(
                    url,
                    retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_FOR},
                )

    def check_writable(self) -> None:
        """Put the object that says what this is: a refusal is met before anything is measured.

        Raises:
            StoreError: it is refused.
        """
        with self._errors_explained("write to"):
            self._api.put(self._store, _ABOUT, _ABOUT_BODY)

    def put(self, uid: str, body: bytes) -> None:
        """Put a trial's object. One that is there already is never changed.

        Raises:
            StoreError: it is refused or interrupted.
        """
        with self._errors_explained("write to"):
            try:
                # In one piece: an upload in several cannot be refused where the object exists.
                self._api.put(
                    self._store, f"{_FOLDER}/{uid}", body, mode="create", use_multipart=False
                )
            except self._errors.AlreadyExistsError:
                return  # put by another run on this local store

    def listed(self) -> Iterator[list[Listed]]:
        """The objects of trials, some at a time. Objects of any other name are passed over.

        Raises:
            StoreError: they cannot be listed.
        """
        with self._errors_explained("list"):
            for chunk in self._api.list(self._store, _FOLDER, chunk_size=_LISTED_AT_ONCE):
                named = (
                    Listed(str(meta["path"]).rpartition("/")[2], int(meta["size"]))
                    for meta in chunk
                )
                yield [one for one in named if is_uid(one.uid)]

    def get(self, uid: str) -> bytes:
        """A trial's object.

        Raises:
            StoreError: it cannot be read.
            ValueError: it is too large, although it was listed as smaller.
        """
        with self._errors_explained("read"):
            result = self._api.get(self._store, f"{_FOLDER}/{uid}")
            if result.meta["size"] > MOST_BYTES:
                raise ValueError(f"it is larger than {MOST_BYTES} bytes")
            return bytes(result.bytes())

    @contextmanager
    def _errors_explained(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (self._errors.BaseError, OSError) as error:
            raise StoreError(f"cannot {verb} {self.url}: {self._reason(error)}") from error

    def _reason(self, error: Exception) -> str:
        refused = (self._errors.PermissionDeniedError, self._errors.UnauthenticatedError)
        if isinstance(error, refused):
            return "permission refused; check the credentials in the environment"
        # A list of a bucket that is not there is no NotFoundError: only S3's code tells.
        if isinstance(error, self._errors.NotFoundError) or "NoSuchBucket" in str(error):
            return "not found; check the name of the bucket"
        # obstore appends the whole of its error in Rust's notation.
        message = " ".join(str(error).partition("\n\nDebug")[0].split())
        return f"{message[:_MOST_REASON]}; once that is fixed, run the same command again"
