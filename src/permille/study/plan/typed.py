"""Tables of a study file as records; what does not fit is named in the words of TOML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from permille.errors import StudyError

_NAMES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}
"""msgspec's names of types, and what people call them; of TOML, which has no null."""


def typed(table: object, kind: Any, at: str) -> Any:
    """The table as the record ``kind``.

    Raises:
        StudyError: it does not fit; the message begins with ``at``, and names the key.
    """
    try:
        return msgspec.convert(table, kind, strict=True)
    except msgspec.ValidationError as error:
        # msgspec says "what - at `$.key`".
        what, _, path = str(error).partition(" - at `$")
        key = path.rstrip("`").lstrip(".")
        raise StudyError(f"{at}{' ' + key if key else ''}: {_plain(what, kind, key)}") from error


def _plain(message: str, kind: Any, key: str) -> str:
    if message.startswith("Object missing required field"):
        return f"{message.rpartition(' ')[2].strip('`')} is missing"
    message = re.sub(r"`([a-z]+(?: \| [a-z]+)*)`", _named, message)
    if message.startswith("Invalid enum value"):
        words = " or ".join(repr(word) for word in _words(get_type_hints(kind).get(key)))
        message = f"{message.replace('enum value', 'value')}; use {words}"
    return message[:1].lower() + message[1:]


def _named(types: re.Match[str]) -> str:
    names = [name for name in types[1].split(" | ") if name != "null"]
    # A whole number is a number: "a whole number or a number" would say it twice.
    if {"int", "float"} <= set(names):
        names.remove("int")
    return " or ".join(_NAMES.get(name, name) for name in names)


def _words(hint: Any) -> Iterator[str]:
    """The words that a field of a closed set allows."""
    if get_origin(hint) is Literal:
        yield from get_args(hint)
    else:
        for part in get_args(hint):
            yield from _words(part)
