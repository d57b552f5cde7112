"""Decide whether a study file is under the user's control: nobody else can have written it.

This only uses the file system, which cannot distinguish what the user wrote from what they
downloaded, except where a browser or downloader has marked the file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_MARKS = ("user.xdg.origin.url", "user.xdg.referrer.url")
"""The mark of downloaders: https://www.freedesktop.org/wiki/CommonExtendedAttributes/"""


def why_not_own(path: Path) -> str | None:
    """Why the study file ``path`` is not under the user's control, or None.

    It is if the file and its folder belong to the user or to root, nobody else can write to them
    (except the user's private primary group), it is not a link, it is not below the downloads
    folder, and no downloader has marked it.
    """
    try:
        # Before resolving: whoever owns the link decides where it leads.
        if path.is_symlink():
            return "it is a link"
        path = path.resolve()
        # Whoever may write to a folder may replace the files in it, whatever their own permissions.
        for place, what in ((path, "it"), (path.parent, "its folder")):
            reason = _of_others(place.stat())
            if reason is not None:
                return f"{what} {reason}"
    except OSError as error:
        return f"it cannot be examined: {error.strerror}"
    if (Path.home() / "Downloads") in path.parents:
        return "it is in the downloads folder"
    if _has_mark(path):
        return "it was downloaded"
    return None


def _of_others(status: os.stat_result) -> str | None:
    if status.st_uid not in (0, os.geteuid()):
        return "belongs to another user"
    if status.st_mode & stat.S_IWOTH:
        return "can be written by every user"
    if status.st_mode & stat.S_IWGRP and status.st_gid not in (0, os.getegid()):
        return "can be written by a group"
    return None


def _has_mark(path: Path) -> bool:
    if not hasattr(os, "listxattr"):  # macOS: Python has no function for it
        return False
    try:
        return any(mark in os.listxattr(path) for mark in _MARKS)
    except OSError:  # a file system without extended attributes
        return False
