"""Text that comes from specs, logs and outputs, made fit for a terminal and for a shell."""

import re
import shlex
from collections.abc import Mapping

from engine.domain.values import Json, JsonObject

# Everything a terminal could obey, and marks that reorder what is read; tabs and line ends are harmless.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text with control characters spelled out, so that nothing in it drives the terminal."""
    return _UNSAFE.sub(lambda found: found.group().encode("unicode_escape").decode(), text.replace("\r\n", "\n"))


_OUR_WORDS = {
    "`prune` deletes it": "`--prune` deletes it",
    "Ask for a dry run": "Ask for a `--dry-run`",
    "apply it with its `plan_hash`": "apply it with `--plan-hash`",
    "list_resources shows": "`innominatus-ctl list-resources` shows",
    "list_workflow_executions shows": "`innominatus-ctl list-workflows` shows",
    "get_resource_details shows": "`innominatus-ctl resource NAME` shows",
}
"""What the platform says to every door, and how a person at this one does it."""


def in_our_words(text: str) -> str:
    """The platform's sentence, with options and commands where it names arguments and tools."""
    for theirs, ours in _OUR_WORDS.items():
        text = text.replace(theirs, ours)
    return text


_WHERE_TO_LOOK = {
    "application_not_found": "`innominatus-ctl list` shows the applications.",
    "provider_not_found": "`innominatus-ctl providers` shows the providers.",
    "workflow_not_found": "`innominatus-ctl list-goldenpaths` shows what can be run.",
}


def where_to_look(code: str) -> str:
    """Which command lists what there is instead of the thing that was not found; empty where none does."""
    return _WHERE_TO_LOOK.get(code, "")


def shown(value: Json) -> str:
    """One value in one line of a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list)):
        import json

        return clean(json.dumps(value, ensure_ascii=False))
    return clean(str(value)).replace("\n", " ")


def dotenv(variables: Mapping[str, str]) -> str:
    """`NAME=value` lines that `sh` reads back as they were, whatever the values hold."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())


def as_object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def as_objects(value: Json) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def as_number(value: Json) -> int:
    return value if isinstance(value, int) else 0
