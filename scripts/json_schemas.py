"""The JSON Schema of what each command prints with ``--json``, from the records that it prints."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from permille import cli


def outputs() -> dict[str, type[msgspec.Struct]]:
    """Command, as a reader would write it -> the record that it prints."""
    found: dict[str, type[msgspec.Struct]] = {}
    for name in cli.COMMANDS:
        module = importlib.import_module(cli.module_of(name))
        found |= getattr(module, "OUTPUTS", {})
    return found


def file_name(command: str) -> str:
    """Where the schema of a command lies."""
    words = command.replace("--", "").replace(",", "").split()
    return f"{'-'.join(words)}.schema.json"


def schema(command: str, record: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of one command's output. Keys may be added to it later; none that it names is
    taken away or changes its meaning while ``schema`` stays the same number."""
    optional = {record.__name__} if record.__struct_config__.omit_defaults else set()
    (made,), definitions = msgspec.json.schema_components([record], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"permille {command}",
        **made,
        "$defs": {
            name: _complete(_one_paragraph(definitions[name]), always=name not in optional)
            for name in sorted(definitions)
        },
    }


def page() -> Iterator[str]:
    """The reference page: each command's keys, with their types."""
    yield (
        "With `--json` a command prints one document, `run --json-lines` one a line. Each has a\n"
        "JSON Schema (draft 2020-12). `null` stands for what is missing or unknown, never 0. A\n"
        "document may get more keys; a key that changes its meaning raises `schema`.\n"
    )
    shown: set[str] = set()
    for command, record in outputs().items():
        document = schema(command, record)
        yield f"## permille {command}\n"
        yield f"[{file_name(command)}](json/{file_name(command)})\n"
        name = document["$ref"].rpartition("/")[2]
        for part in (name, *sorted(document["$defs"].keys() - {name})):
            if part in shown:
                continue
            shown.add(part)
            yield from _definition(part, document["$defs"][part])


def _definition(name: str, definition: dict[str, Any]) -> Iterator[str]:
    if "properties" not in definition:
        values = ", ".join(f"`{value}`" for value in definition.get("enum", ()))
        yield f"### {name}\n\n{definition.get('description', '')}\n\nOne of {values}.\n"
        return
    yield f"### {name}\n\n{definition.get('description', '')}\n\n| key | type |\n| --- | --- |"
    for key, kind in definition["properties"].items():
        yield f"| `{key}` | {_type(kind)} |"
    yield ""


def _type(kind: dict[str, Any]) -> str:
    if "$ref" in kind:
        name = kind["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in kind:
        return " or ".join(_type(part) for part in kind["anyOf"])
    if "enum" in kind:
        return " or ".join(f"`{value}`" for value in kind["enum"])
    if kind.get("type") == "array":
        items = kind.get("items")
        return f"list of {_type(items)}" if isinstance(items, dict) else "list"
    if kind.get("type") == "object":
        values = kind.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) else "object"
    return str(kind.get("type", "any"))


def _complete(definition: dict[str, Any], *, always: bool) -> dict[str, Any]:
    """A key that has a default is printed all the same, unless its record leaves defaults out."""
    if "properties" not in definition or not always:
        return definition
    return {**definition, "required": list(definition["properties"])}


def _one_paragraph(definition: dict[str, Any]) -> dict[str, Any]:
    """Docstrings as prose: no line breaks of the source, no reStructuredText."""
    text = definition.get("description")
    if text is None:
        return definition
    prose = re.sub(r":\w+:(?=`)", "", text).replace("``", "`")
    return {**definition, "description": " ".join(prose.split())}
