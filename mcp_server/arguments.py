"""Arguments as models send them: older spellings, nulls, unknown names. Everything wrong is reported at once."""

from collections.abc import Collection, Iterator, Mapping

from pydantic import ValidationError
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
}
_BOUNDED = {
    "less_than_equal": "must be at most {le}",
    "greater_than_equal": "must be at least {ge}",
    "literal_error": "must be one of {expected}",
    "string_too_long": "must have at most {max_length} characters",
}


def tidied(
    tool: str, arguments: Mapping[str, object], *, known: Collection[str], required: Collection[str]
) -> dict[str, object]:
    """The arguments under their advertised names, without nulls. Raises Invalid: unknown names, unusable texts."""
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
    if problems:
        raise Invalid(f"`{tool}` cannot be called like this.", problems, code="invalid_arguments")
    return {name: value for name, value in named.items() if value is not None or name in required}


def _unknown(tool: str, name: str, known: Collection[str]) -> Problem:
    close = nearest(name, known, most=1)
    listed = f"it takes {quoted(known)}" if known else "it takes no arguments"
    fix = f"did you mean {quoted(close)}?" if close else listed
    return Problem("unknown_argument", name[:80], f"is not an argument of `{tool}`", fix)


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


def rejected(tool: str, error: ValidationError) -> Invalid:
    """Pydantic's findings in our words: no URLs, and never the rejected value (it may be a secret)."""
    problems = [
        Problem("invalid_argument", ".".join(str(part) for part in found["loc"]), _worded(found))
        for found in error.errors(include_url=False, include_input=False)
    ]
    return Invalid(f"`{tool}` cannot be called like this.", problems, code="invalid_arguments")


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


def page_cursor(value: str) -> str:
    """A cursor as a list gave it out. Raises Invalid."""
    if value and not (value.isascii() and value.isdecimal() and int(value[:30]) <= _LARGEST_ID):
        problem = Problem(
            "invalid_argument", "cursor", "is not a `next_cursor` of a list", "leave it out to start anew"
        )
        raise Invalid("The cursor is not valid.", [problem], code="invalid_cursor")
    return value
