"""Write ``web/document.d.ts``: what the page is sent, for its type check.

The shapes are those of :mod:`permille.explorer.shapes` and ``run_shapes``, with the records that
are sent in them; a test fails where the file is not current.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec.inspect as types

from permille.analysis.study_cells import METERED
from permille.explorer import run_shapes, shapes

TARGET = Path(__file__).resolve().parent.parent / "src/permille/explorer/web/document.d.ts"
Shape = types.TypedDictType | types.StructType
PRIMITIVES: dict[type, str] = {
    types.AnyType: "unknown",
    types.NoneType: "null",
    types.BoolType: "boolean",
    types.IntType: "number",
    types.FloatType: "number",
    types.StrType: "string",
}
HEAD = """\
// Written by scripts/build_page_types.py from permille/explorer/shapes.py, and what that imports.

/** A boundary that is metered; facility is the node times the PUE. */
export type Metered = {metered};

/** A cell as the page reads it from the columns: parts by component, figures by boundary. */
export type Cell = PageCell & {{ [part: `part_${{string}}`]: number | null }} & {{
  [K in keyof BoundaryColumns as `${{Metered}}_${{K}}`]: BoundaryColumns[K];
}} & {{
  [K in keyof FigureColumns as `${{Metered | `${{Metered}}_net`}}_${{K}}`]: FigureColumns[K];
}};
"""


def declarations() -> str:
    """The text of the file."""
    metered = " | ".join(f'"{boundary}"' for boundary in METERED)
    found: list[Shape] = []
    for module in (shapes, run_shapes):
        for shape in vars(module).values():
            # What a module imports is written where it is defined, or with the records.
            if inspect.isclass(shape) and shape.__module__ == module.__name__:
                known = types.type_info(shape)
                assert isinstance(known, types.TypedDictType)
                found.append(known)
    records = {record.cls: record for shape in found for record in _records(shape)}
    listed = map(_interface, [*found, *records.values()])
    return "\n".join([HEAD.format(metered=metered), *listed])


def _records(shape: types.Type) -> Iterator[types.StructType]:
    """The records that a type holds."""
    if isinstance(shape, types.StructType):
        yield shape
    for part in _parts(shape):
        yield from _records(part)


def _parts(shape: types.Type) -> Iterable[types.Type]:
    if isinstance(shape, types.TypedDictType | types.StructType):
        return [field.type for field in shape.fields]
    if isinstance(shape, types.UnionType):
        return shape.types
    if isinstance(shape, types.ListType | types.VarTupleType):
        return [shape.item_type]
    return [shape.value_type] if isinstance(shape, types.DictType) else []


def _interface(shape: Shape) -> str:
    doc = " ".join((inspect.getdoc(shape.cls) or "").replace("``", "`").split())
    lines = [f"/** {doc} */", f"export interface {shape.cls.__name__} {{"]
    for field in shape.fields:
        # All of a record's fields are sent, also those that it has a default for.
        mark = "" if field.required or isinstance(shape, types.StructType) else "?"
        lines.append(f"  {field.encode_name}{mark}: {_typed(field.type)};")
    return "\n".join([*lines, "}", ""])


def _typed(shape: types.Type) -> str:
    """A type as TypeScript writes it."""
    if isinstance(shape, types.TypedDictType | types.StructType):
        return shape.cls.__name__
    if isinstance(shape, types.LiteralType):
        return " | ".join(map(json.dumps, shape.values))
    if isinstance(shape, types.UnionType):
        return " | ".join(map(_typed, shape.types))
    if isinstance(shape, types.ListType | types.VarTupleType):
        several = isinstance(shape.item_type, types.UnionType | types.LiteralType)
        return f"({_typed(shape.item_type)})[]" if several else f"{_typed(shape.item_type)}[]"
    if isinstance(shape, types.TupleType):
        return f"[{', '.join(map(_typed, shape.item_types))}]"
    if isinstance(shape, types.DictType):
        return f"{{ [key: string]: {_typed(shape.value_type)} }}"
    return PRIMITIVES[type(shape)]


if __name__ == "__main__":
    TARGET.write_text(declarations(), encoding="utf-8")
    print(TARGET)
