"""Columns as a data frame of the library that the user has: pandas, Polars or PyArrow.

Each is made by its own constructor with the columns' types, so that a missing number, word or truth
value stays missing: pandas would otherwise turn integers into floats and None into False.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from permille.errors import UsageError
from permille.escaping import plain

FrameLibrary = Literal["pandas", "polars", "pyarrow"]

_Columns = Mapping[str, Sequence[Any]]
_Types = Mapping[str, type]


def frame_of(columns: _Columns, types: _Types, library: FrameLibrary) -> Any:
    """Columns of equal length, and the type of each (str, int, float or bool), as a data frame.

    Raises:
        UsageError: the library is not installed, or a value is not of its column's type.
    """
    checked = {
        name: [_checked(name, value, kind) for value in columns[name]]
        for name, kind in types.items()
    }
    try:
        return FRAMES[library](checked, types)
    except ImportError as error:
        others = " or ".join(repr(name) for name in FRAMES if name != library)
        raise UsageError(
            f"a frame of {library} needs it: pip install {library}; or use frame={others}"
        ) from error


def _checked(name: str, value: Any, kind: type) -> Any:
    """The value as its column's plain type: libraries refuse the enumerations that are strings."""
    if value is None:
        return None
    # By type(): a bool is an int too, and must not become 1.0.
    if isinstance(value, kind) or (kind is float and type(value) is int):
        return kind(value)
    raise UsageError(f"the store is not as permille writes it: {name} is {plain(repr(value), 60)}")


def _pandas(columns: _Columns, types: _Types) -> Any:
    import pandas as pd

    kinds = {str: "string", int: "Int64", float: "float64", bool: "boolean"}
    series = {name: pd.array(values, dtype=kinds[types[name]]) for name, values in columns.items()}
    return pd.DataFrame(series)


def _polars(columns: _Columns, types: _Types) -> Any:
    import polars as pl

    kinds = {str: pl.String, int: pl.Int64, float: pl.Float64, bool: pl.Boolean}
    return pl.DataFrame(columns, schema={name: kinds[kind] for name, kind in types.items()})


def _pyarrow(columns: _Columns, types: _Types) -> Any:
    import pyarrow as pa

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    return pa.table(columns, schema=pa.schema([(name, kinds[types[name]]) for name in types]))


FRAMES: Mapping[FrameLibrary, Callable[[_Columns, _Types], Any]] = {
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _pyarrow,
}
"""The libraries, by name."""
