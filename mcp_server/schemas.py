"""What the tools promise to answer, as JSON Schema.

Written by hand to stay within a client's budget. Nothing is required: some clients hold errors to the same schema.
"""

from engine.domain.values import Json, JsonObject

_TEXT: JsonObject = {"type": "string"}
_NUMBER: JsonObject = {"type": "integer"}
_FLAG: JsonObject = {"type": "boolean"}
_OBJECT: JsonObject = {"type": "object"}
_TEXTS: JsonObject = {"type": "array", "items": _TEXT}
TABLE: JsonObject = {"type": "object", "properties": {"columns": _TEXTS, "rows": {"type": "array"}}}


def answer(
    *,
    texts: tuple[str, ...] = (),
    numbers: tuple[str, ...] = (),
    flags: tuple[str, ...] = (),
    objects: tuple[str, ...] = (),
    tables: tuple[str, ...] = (),
) -> JsonObject:
    """The schema of an object with these properties, `next` and `error`."""
    properties: dict[str, Json] = dict.fromkeys(texts, _TEXT)
    properties |= dict.fromkeys(numbers, _NUMBER)
    properties |= dict.fromkeys(flags, _FLAG)
    properties |= dict.fromkeys(objects, _OBJECT)
    properties |= dict.fromkeys(tables, TABLE)
    return {"type": "object", "properties": {**properties, "next": _TEXTS, "error": _OBJECT}}


LIST: JsonObject = {
    "type": "object",
    "properties": {
        "columns": _TEXTS,
        "rows": {"type": "array"},
        "next_cursor": _TEXT,
        "next": _TEXTS,
        "error": _OBJECT,
    },
}
PROVIDER = answer(
    texts=("name", "version", "description"), objects=("examples",), tables=("resource_types", "workflows")
)
STARTED = answer(
    texts=("workflow", "status", "message", "summary", "error_message"),
    numbers=("execution_id", "resource_id"),
    flags=("dry_run",),
    objects=("inputs", "outputs", "logs", "explain"),
    tables=("steps", "plan"),
)
STATUS = answer(
    texts=("workflow", "status", "application", "environment", "steps_done", "error_message", "warning"),
    numbers=("execution_id", "resource_id", "attempt"),
    objects=("outputs", "logs", "explain"),
    tables=("steps",),
)
RESOURCE = answer(
    texts=("resource", "application", "environment", "type", "state", "error_message", "secrets"),
    numbers=("resource_id", "execution_id"),
    objects=("params", "outputs", "explain"),
    tables=("transitions",),
)
GRAPH = answer(texts=("application", "environment"), tables=("nodes", "edges"))
VERDICT = answer(texts=("provider",), numbers=("more_problems",), flags=("valid",), tables=("problems",))
CAPABILITY = answer(
    texts=("type", "provider", "description", "params", "deletion"), objects=("example",), tables=("operations",)
)
SUBMISSION = answer(
    texts=("application", "environment", "plan_hash", "summary", "shown", "next_cursor", "status"),
    numbers=("version",),
    flags=("applied",),
    tables=("plan", "resources"),
)
