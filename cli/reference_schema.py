"""JSON Schemas in words, for the reference pages."""

import json
from collections.abc import Iterator
from typing import cast

from cli.reference_text import code, plain, sentence
from cli.text import as_object, as_objects, as_text
from engine.domain.values import Json, JsonObject

COLUMNS = ("Key", "Kind", "Default", "Meaning")


def rows(schema: JsonObject) -> list[tuple[str, str, str, str]]:
    """One row per property: key, kind, default, meaning."""
    required = schema.get("required")
    needed = required if isinstance(required, list) else []
    found: list[tuple[str, str, str, str]] = []
    for name, value in as_object(schema.get("properties")).items():
        declared = as_object(value)
        default = "required" if name in needed else _default(declared)
        found.append((code(name), kind(declared), default, sentence(as_text(declared.get("description")))))
    return found


def _default(declared: JsonObject) -> str:
    value = declared.get("default")
    if value in (None, "", [], {}):
        return ""
    return code(value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False))


def kind(declared: JsonObject) -> str:
    """What a value may be, in a few words."""
    if "$ref" in declared:
        name = as_text(declared["$ref"]).rpartition("/")[2]
        return "any value" if name == "JsonValue" else f"[{name}](#{name.lower()})"
    if choices := [choice for choice in as_objects(declared.get("anyOf")) if choice.get("type") != "null"]:
        return " or ".join(dict.fromkeys(kind(choice) for choice in choices))
    if "const" in declared:
        return code(declared["const"])
    if isinstance(options := declared.get("enum"), list):
        return ", ".join(code(option) for option in options)
    return _named(declared)


def _named(declared: JsonObject) -> str:
    written = declared.get("type")
    if isinstance(written, list):
        return " or ".join(str(one) for one in written)
    if (declared.get("gt"), declared.get("le")) == (0, 604800):
        return "duration"
    if written == "array":
        inner = as_object(declared.get("items"))
        return f"list of {kind(inner)}" if inner else "list"
    if written == "object":
        return "mapping"
    return {"string": "text", "integer": "whole number" + _range(declared), "number": "number" + _range(declared)}.get(
        as_text(written), as_text(written) or "any value"
    )


def _range(declared: JsonObject) -> str:
    low, high = declared.get("minimum"), declared.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    return f", at least {low}" if low is not None else f", at most {high}" if high is not None else ""


def parts(schema: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """The nested models of a schema, in the order in which the properties name them."""
    known = as_object(schema.get("$defs"))
    seen: set[str] = set()
    waiting = list(_references(schema.get("properties")))
    while waiting:
        name = waiting.pop(0)
        nested = as_object(known.get(name))
        if name not in seen and nested.get("properties"):
            seen.add(name)
            yield name, nested
            waiting += _references(nested.get("properties"))


def _references(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(target := value.get("$ref"), str):
            yield target.rpartition("/")[2]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def as_schema(value: object) -> JsonObject:
    """A schema that a library made: JSON by its nature."""
    return cast("JsonObject", value)
