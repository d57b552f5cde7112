"""Write ``web/document.d.ts``: what the page is sent, for its type check.

The shapes are those of :mod:`permille.explorer.shapes`; a test fails where the file is not
current.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import msgspec.inspect as types

from permille.analysis.study_cells import METERED
from permille.explorer import shapes

TARGET = Path(__file__).resolve().parent.parent / "src/permille/explorer/web/document.d.ts"
PRIMITIVES: dict[type, str] = {
    types.AnyType: "unknown",
    types.NoneType: "null",
    types.BoolType: "boolean",
    types.IntType: "number",
    types.FloatType: "number",
    types.StrType: "string",
}
HEAD = """\
// Written by scripts/build_page_types.py from permille/explorer/shapes.py: change it there.

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
    found = [HEAD.format(metered=metered)]
    for name, shape in vars(shapes).items():
        if inspect.isclass(shape) and shape.__module__ == shapes.__name__:
            found.append(_interface(name, types.type_info(shape)))
    return "\n".join(found)


def _interface(name: str, shape: types.Type) -> str:
    assert isinstance(shape, types.TypedDictType)
    doc = " ".join((inspect.getdoc(shape.cls) or "").replace("``", "`").split())
    lines = [f"/** {doc} */", f"export interface {name} {{"]
    for field in shape.fields:
        mark = "" if field.required else "?"
        lines.append(f"  {field.encode_name}{mark}: {_typed(field.type)};")
    return "\n".join([*lines, "}", ""])


def _typed(shape: types.Type) -> str:
    """A type as TypeScript writes it."""
    if isinstance(shape, types.TypedDictType):
        return shape.cls.__name__
    if isinstance(shape, types.LiteralType):
        return " | ".join(f'"{value}"' for value in shape.values)
    if isinstance(shape, types.UnionType):
        return " | ".join(map(_typed, shape.types))
    if isinstance(shape, types.ListType):
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
