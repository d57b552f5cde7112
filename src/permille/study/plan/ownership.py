"""Decide whether a study file is under the user's control: nobody else can have written it.

This only uses the file system, which cannot distinguish what the user wrote from what they
downloaded, except where a browser or downloader has marked the file.
"""

from __future__ import annotations

import grp
import os
import pwd
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
    if status.st_mode & stat.S_IWGRP and status.st_gid != 0 and not _is_private(status.st_gid):
        return "can be written by a group"
    return None


def _is_private(group: int) -> bool:
    """Whether a group is the user's alone: it has the user's name, and no other member."""
    # A primary group need not be: macOS has all users in staff, and other systems in users
    # (USERGROUPS_ENAB in login.defs(5)).
    try:
        found, user = grp.getgrgid(group), pwd.getpwuid(os.geteuid())
    except KeyError:  # without a name, as in some containers
        return False
    return found.gr_name == user.pw_name and set(found.gr_mem) <= {user.pw_name}


def _has_mark(path: Path) -> bool:
    if not hasattr(os, "listxattr"):  # macOS: Python has no function for it
        return False
    try:
        return any(mark in os.listxattr(path) for mark in _MARKS)
    except OSError:  # a file system without extended attributes
        return False
