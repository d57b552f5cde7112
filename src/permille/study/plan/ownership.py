"""Whether a study file is in the user's own hand: nobody else can have written what it says.

By the file system alone, which cannot tell what the user wrote from what they downloaded; where a
browser or downloader left its mark, it is heeded.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_MARKS = ("user.xdg.origin.url", "user.xdg.referrer.url")
"""Left by downloaders: https://www.freedesktop.org/wiki/CommonExtendedAttributes/"""


def why_not_own(path: Path) -> str | None:
    """Why the study file ``path`` is not in the user's own hand; None where it is.

    It is, where the file and its folder belong to the user or to root, nobody else may write to
    them (but for a group of the user's own, by their primary group), it is no link, and it neither
    lies among the downloads nor bears a downloader's mark.
    """
    try:
        if path.is_symlink():
            return "it is a link"
        path = path.resolve()
        for place, what in ((path, "it"), (path.parent, "its folder")):
            reason = _of_others(place.stat())
            if reason is not None:
                return f"{what} {reason}"
    except OSError as error:
        return f"it cannot be looked at: {error.strerror}"
    if (Path.home() / "Downloads") in path.parents:
        return "it lies among the downloads"
    if _has_mark(path):
        return "it was downloaded"
    return None


def _of_others(found: os.stat_result) -> str | None:
    if found.st_uid not in (0, os.geteuid()):
        return "belongs to another user"
    if found.st_mode & stat.S_IWOTH:
        return "can be written by every user"
    if found.st_mode & stat.S_IWGRP and found.st_gid not in (0, os.getegid()):
        return "can be written by a group"
    return None


def _has_mark(path: Path) -> bool:
    if not hasattr(os, "listxattr"):  # macOS: Python cannot ask
        return False
    try:
        return any(mark in os.listxattr(path) for mark in _MARKS)
    except OSError:  # a file system without
        return False
