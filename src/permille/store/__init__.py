"""The store: one SQLite file with trials and their raw recordings; each row has a checksum (seal).

A trial is committed completely or not at all, and is in the file itself, not only in its log, when
:meth:`Store.add` returns. Joules are stored, carbon never: it is applied when reading.
"""

from permille.store.gate import refusal
from permille.store.rollup import Fold
from permille.store.rows import REFERENCE_SOURCE, Group, Raw, Tried
from permille.store.trials import Store
from permille.store.windows import StoredWindow
from permille.store.writing import Added

__all__ = [
    "REFERENCE_SOURCE",
    "Added",
    "Fold",
    "Group",
    "Raw",
    "Store",
    "StoredWindow",
    "Tried",
    "refusal",
]
