"""Recognise files that are not what their names say by their first bytes, and give a remedy."""

from __future__ import annotations

# A clone without git-lfs has these small text files in place of the data
# (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md).
_LFS = "version https://git-lfs.github.com/spec/"


def not_the_data(head: str, expected: str) -> str | None:
    """What a text that starts like this is, if it is not data in the ``expected`` format (``CSV``
    or ``JSON``), and what to do; None if it may be such data."""
    start = head.lstrip("\ufeff \t\r\n")
    if start.startswith(_LFS):
        return "a Git LFS pointer, not the file: fetch the file itself with git lfs pull"
    # The address of a file on GitHub or the Hub, saved by a browser, is the page around the file.
    if start.startswith("<"):
        return "a web page (HTML or XML), not the file: download the raw file"
    if expected == "CSV" and start.startswith(("{", "[")):
        return (
            "JSON, not CSV (a ..._codecarbon.json of optimum-benchmark holds one phase: import"
            " its benchmark.json, with permille import optimum-benchmark)"
        )
    return None
