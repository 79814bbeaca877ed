"""Arguments as models send them: older spellings, nulls, unknown names. Everything wrong is reported at once."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.errors import Invalid, Problem, nearest, quoted

OLDER_NAMES: Mapping[str, Mapping[str, str]] = {
    "get_provider_details": {"name": "provider_name"},
    "execute_workflow": {"name": "workflow_name"},
    "get_workflow_status": {"id": "execution_id"},
    "get_resource_details": {"id": "resource_id"},
    "submit_spec": {"spec": "spec_yaml"},
}
"""Accepted, not advertised: they would cost every client tokens."""

_SAID_INSTEAD: Mapping[str, frozenset[str]] = {
    "inputs": frozenset({"parameters", "params", "arguments", "args", "variables"}),
    "spec_yaml": frozenset({"yaml", "score", "content", "manifest", "document"}),
    "application": frozenset({"name", "service", "workload"}),
    "environment": frozenset({"stage", "namespace"}),
    "step": frozenset({"task"}),
}
"""Proposed, not accepted: what each means is clear enough to ask, not to act."""

_LARGEST_ID = 2**63 - 1
_DEEPEST = 64
_WORDED = {
    "missing": "is required",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "dict_type": "must be an object",
    "list_type": "must be a list",
}
_HAVE_DEFAULTS = frozenset({"limit", "wait_seconds"})
_EXAMPLES: Mapping[str, str] = {
    "files": '{"provider.yaml": "<its text>", "workflows/create.yaml": "<its text>"}',
    "include": '["outputs"]',
    "spec_yaml": '"apiVersion: score.dev/v1b1\\nmetadata: {name: my-app}\\ncontainers: {main: {image: nginx}}"',
}
"""What is written where a value has another type, for arguments that are more than a word."""
_BOUNDED = {
    "less_than_equal": "must be at most {le}",
    "greater_than_equal": "must be at least {ge}",
    "literal_error": "must be one of {expected}",
    "string_too_long": "must have at most {max_length} characters",
}


def tidied(
    tool: str,
    arguments: Mapping[str, object],
    *,
    known: Collection[str],
    required: Collection[str],
    model: type[BaseModel],
) -> dict[str, object]:
    """The arguments under their advertised names, without nulls. Raises Invalid with everything that is wrong.

    `model` judges the values, once there is something to tell about the names; else the tool itself does.
    """
    older = OLDER_NAMES.get(tool, {})
    named: dict[str, object] = {}
    for name, value in arguments.items():
        now = older.get(name, name)
        named[name if now in arguments else now] = value
    problems = [_unknown(tool, name, known) for name in named if name not in known]
    problems += [
        Problem("unusable_text", name, reason, "leave these characters out")
        for name, value in named.items()
        if name in known and (reason := _unusable(value))
    ]
    kept = {name: value for name, value in named.items() if value is not None or name in required}
    if problems:
        meant = " ".join(found.fix for found in problems)
        others = [] if _unusable(named) else _judged(model, {name: kept[name] for name in kept if name in known})
        raise refused(tool, [*problems, *(found for found in others if f"`{found.path}`?" not in meant)])
    return kept


def refused(tool: str, problems: Iterable[Problem]) -> Invalid:
    return Invalid(f"`{tool}` cannot be called like this.", problems, code="invalid_arguments")


def _judged(model: type[BaseModel], given: Mapping[str, object]) -> list[Problem]:
    try:
        model.model_validate(given)
    except ValidationError as error:
        return rejected(error)
    return []


def _unknown(tool: str, name: str, known: Collection[str]) -> Problem:
    close = nearest(name, known, most=1) or [other for other in known if _akin(name, other)]
    close = close or [meant for meant, words in _SAID_INSTEAD.items() if meant in known and name.casefold() in words]
    listed = f"it takes {quoted(known)}" if known else "it takes no arguments"
    fix = f"did you mean {quoted(close)}?" if close else listed
    return Problem("unknown_argument", name[:80], f"is not an argument of `{tool}`", fix)


def _akin(name: str, other: str) -> bool:
    """`app` and `application`, `resource_type` and `type`, `id` and `execution_id`: more alike than their letters."""
    short, long = sorted((name.casefold(), other.casefold()), key=len)
    return bool(short) and (long.startswith(short) or short in long.split("_"))


def _unusable(value: object) -> str:
    """Why a text in `value` could never be stored; empty when all of them can."""
    for text, depth in _texts(value, 0):
        if depth > _DEEPEST:
            return f"is nested more than {_DEEPEST} levels deep"
        if "\0" in text:
            return "contains a NUL character"
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            return "contains half a surrogate pair"
    return ""


def _texts(value: object, depth: int) -> Iterator[tuple[str, int]]:
    if depth > _DEEPEST:
        yield "", depth
    elif isinstance(value, str):
        yield value, depth
    elif isinstance(value, dict):
        for key, item in value.items():  # pyright: ignore[reportUnknownVariableType] # JSON from outside
            yield str(key), depth  # pyright: ignore[reportUnknownArgumentType] # JSON from outside
            yield from _texts(item, depth + 1)  # pyright: ignore[reportUnknownArgumentType] # JSON from outside
    elif isinstance(value, list):
        for item in value:  # pyright: ignore[reportUnknownVariableType] # JSON from outside
            yield from _texts(item, depth + 1)  # pyright: ignore[reportUnknownArgumentType] # JSON from outside


def rejected(error: ValidationError) -> list[Problem]:
    """Pydantic's findings in our words: no URLs, and never the rejected value (it may be a secret)."""
    return [
        Problem("invalid_argument", ".".join(str(part) for part in found["loc"]), _worded(found), _example(found))
        for found in error.errors(include_url=False, include_input=False)
    ]


def _example(found: ErrorDetails) -> str:
    name = str(found["loc"][0]) if len(found["loc"]) == 1 else ""
    if found["type"].startswith("int_") and name in _HAVE_DEFAULTS:
        return "or leave it out"
    shaped = found["type"] in {"missing", "string_type", "dict_type", "list_type"}
    return f"write for example `{_EXAMPLES[name]}`" if shaped and name in _EXAMPLES else ""


def _worded(found: ErrorDetails) -> str:
    bounds = found.get("ctx", {})
    if found["type"] in _BOUNDED:
        return _BOUNDED[found["type"]].format(**bounds)
    return _WORDED.get(found["type"], found["msg"])


def stored_id(name: str, value: int) -> int:
    """An id that the database could hold. Raises Invalid."""
    if not 0 < value <= _LARGEST_ID:
        problem = Problem("invalid_argument", name, "must be an id, a whole number from 1")
        raise Invalid(f"There is no such `{name}`.", [problem], code="invalid_arguments")
    return value


@dataclass(frozen=True, slots=True)
class PlanCursor:
    """Where in which plan a dry run goes on; `plan_hash` is None for one that begins."""

    plan_hash: str | None = None
    after: int = 0


def plan_cursor(tool: str, value: str, *, dry_run: bool) -> PlanCursor:
    """A cursor as the dry run before gave it out. Raises Invalid."""
    if not value:
        return PlanCursor()
    found = re.fullmatch(r"(p[0-9a-f]{1,64}):([0-9]{1,9})", value, re.ASCII)
    if found is None:
        problem = Problem(
            "invalid_argument", "cursor", "is not the `next_cursor` of a dry run", "leave it out to start anew"
        )
        raise Invalid("The cursor is not valid.", [problem], code="invalid_cursor")
    if not dry_run:
        problem = Problem("invalid_argument", "cursor", "pages through the plan of a dry run", "add dry_run=true")
        raise refused(tool, [problem])
    return PlanCursor(found[1], int(found[2]))


def page_cursor(value: str) -> str:
    """A cursor as a list gave it out. Raises Invalid."""
    if value and not (value.isascii() and value.isdecimal() and int(value[:30]) <= _LARGEST_ID):
        problem = Problem(
            "invalid_argument", "cursor", "is not a `next_cursor` of a list", "leave it out to start anew"
        )
        raise Invalid("The cursor is not valid.", [problem], code="invalid_cursor")
    return value
