"""Whether a resource's params suit what its provider declares."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

from jsonschema import Draft202012Validator, FormatChecker

from engine.domain.provider import ResourceType
from engine.domain.reading import did_you_mean
from engine.domain.spec import Place, nowhere
from engine.domain.values import Json, JsonObject
from engine.domain.yaml_source import Path, dotted, shortened
from engine.errors import Problem

_PLACEHOLDER = re.compile(r"(?<!\$)(?:\$\$)*\$\{")
_MOST_PROBLEMS = 50
_WHOLE = frozenset({"enum", "const", "not", "anyOf", "oneOf", "if", "contains", "uniqueItems"})
"""Rules that judge a list or object as a whole: a placeholder anywhere inside leaves the verdict open."""


def params_problems(kind: ResourceType, params: JsonObject, place: Place = nowhere) -> list[Problem]:
    """What is wrong with the params as written; paths are below `params`, no message holds a value.

    A text with a placeholder `${...}` is passed over: what it will be is not known yet. Defaults are not filled in.
    `place` tells where a path of the params stands.
    """
    if kind.params_schema is None:
        return []
    return [_placed(path, problem, place) for path, problem in _found(kind.params_schema, params)]


def _placed(path: Path, problem: Problem, place: Place) -> Problem:
    line, column = place(path)
    return replace(problem, path=dotted(path), line=line, column=column)


def _found(schema: JsonObject, params: JsonObject) -> Iterable[tuple[Path, Problem]]:
    validator: Any = cast("Any", Draft202012Validator)(schema, format_checker=FormatChecker())
    told: set[tuple[Path, str]] = set()
    try:
        for error in validator.iter_errors(params):
            for path, problem in _told(error, params):
                key = (tuple(error.absolute_path), problem.message)
                if key not in told and len(told) < _MOST_PROBLEMS:
                    told.add(key)
                    yield path, problem
    except RecursionError:
        yield (), Problem("params_invalid", "", "The params are nested too deeply for their schema")


def _told(error: Any, params: JsonObject) -> Iterable[tuple[Path, Problem]]:
    """Each problem with its path below the params, which it does not name itself."""
    path: Path = tuple(error.absolute_path)
    rule = str(error.validator)
    given = _at(params, path)
    if _open(given) and (rule in _WHOLE or isinstance(given, str)):
        return
    if rule == "additionalProperties" and error.validator_value is False:
        known = cast("JsonObject", error.schema.get("properties", {}))
        patterns = cast("JsonObject", error.schema.get("patternProperties", {}))
        for name in cast("JsonObject", error.instance):
            if name not in known and not any(re.search(pattern, name) for pattern in patterns):
                fix = did_you_mean(name, known, noun="Params") or "Leave it out: there are none here."
                yield (*path, name), Problem("unknown_param", "", f"Unknown param `{shortened(name)}`", fix)
        return
    if rule == "required":
        for name in cast("list[str]", error.validator_value):
            if name not in error.instance:
                yield path, Problem("missing_param", "", f"`{name}` is missing", f"Add `{name}`.")
        return
    name = dotted(path[-1:]) if path else "params"
    schema = cast("Json", error.schema)
    described = schema.get("description") if isinstance(schema, dict) else None
    fix = shortened(described, most=200) if isinstance(described, str) else ""
    yield path, Problem("params_invalid", "", f"`{name}` {_rule(rule, error.validator_value)}", fix)


def _rule(rule: str, wanted: Json) -> str:
    """What the schema asks for, without the value that was given."""
    said = shortened(", ".join(map(str, wanted)) if isinstance(wanted, list) else str(wanted), most=200)
    if rule == "not" and wanted == {}:
        return "may not be given"
    told: dict[str, Callable[[], str]] = {
        "type": lambda: f"must be of type {said}",
        "enum": lambda: f"must be one of {said}",
        "const": lambda: f"must be {said}",
        "minimum": lambda: f"must be at least {said}",
        "maximum": lambda: f"must be at most {said}",
        "exclusiveMinimum": lambda: f"must be more than {said}",
        "exclusiveMaximum": lambda: f"must be less than {said}",
        "minLength": lambda: f"must have at least {said} characters",
        "maxLength": lambda: f"must have at most {said} characters",
        "minItems": lambda: f"must have at least {said} entries",
        "maxItems": lambda: f"must have at most {said} entries",
        "pattern": lambda: f"must match the pattern {said}",
        "format": lambda: f"must be a valid {said}",
        "uniqueItems": lambda: "must not hold the same entry twice",
    }
    return told[rule]() if rule in told else f"does not satisfy `{rule}` of its schema"


def _at(value: Json, path: Path) -> Json:
    for part in path:
        if isinstance(value, dict) and isinstance(part, str):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


@lru_cache(maxsize=1024)
def _placeholder(text: str) -> bool:
    return _PLACEHOLDER.search(text) is not None


def _open(value: Json) -> bool:
    """True for a text that is not final, and for a list or object that is compared as a whole and holds one."""
    if isinstance(value, str):
        return _placeholder(value)
    if isinstance(value, list):
        return any(_open(item) for item in value)
    return isinstance(value, dict) and any(_open(item) for item in value.values())
