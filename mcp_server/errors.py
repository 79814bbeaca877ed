"""What went wrong, as a model can use it: what it is, what is valid, what to call next."""

import json
from collections.abc import Iterator, Mapping

from mcp_types import CallToolResult

from engine.domain.values import Json, JsonObject
from engine.errors import InnominatusError, Invalid, Problem, Severity
from mcp_server.answers import call, result

_MOST_PROBLEMS, _MOST_PROVIDERS = 20, 3
_LONGEST = 600

FAMILY_HINTS: Mapping[str, str] = {
    "not_found": "Look the name up in a list first.",
    "conflict": "Look at what exists now, then decide.",
    "invalid": "Correct this and call again.",
    "denied": "Ask a person who may do this.",
    "unavailable": "Call again in a few seconds.",
    "internal": "Call again once; if it happens again, tell the person to look into the server's log.",
}
"""For errors that carry no hint of their own; a test checks that no family is missing."""

_CORRECTED: Mapping[str, str] = {
    "submit_spec": "submit_spec(spec_yaml=<corrected>, dry_run=true)",
    "execute_workflow": "execute_workflow(<same arguments>, inputs=<corrected>)",
}
"""How what a spec or inputs ask for is asked for again, by tool."""

_NEXT: Mapping[str, str] = {
    "provider_not_found": "list_providers()",
    "golden_path_not_found": "list_golden_paths()",
    "workflow_not_found": "list_golden_paths()",
    "missing_application": "list_specs()",
    "not_runnable": "list_golden_paths()",
    "execution_not_found": "list_workflow_executions()",
    "resource_not_found": "list_resources()",
    "resource_type_not_found": "list_providers()",
    "application_not_found": "list_specs()",
    "unknown_resource_type": "list_providers()",
    "invalid_spec": _CORRECTED["submit_spec"],
    "plan_hash_required": "{tool}(<same arguments>, dry_run=true)",
    "stale_plan": "{tool}(<same arguments without plan_hash>, dry_run=true)",
    "invalid_position": "{tool}(<same arguments without cursor>)",
    "invalid_cursor": "{tool}(<same arguments without cursor>)",
    "busy": "list_resources()",
}
"""Calls by code; `{tool}` is the one that failed."""

_LOOK: Mapping[str, str] = {
    "step_not_found": "execution_id",
    "illegal_transition": "execution_id",
    "already_ended": "execution_id",
    "superseded": "execution_id",
    "not_failed": "resource_id",
    "waiting": "resource_id",
    "in_progress": "resource_id",
    "declared_by_spec": "resource_id",
    "still_used": "resource_id",
}
"""Codes whose reader should look at what the call was about: the argument that names it."""
_SHOWN_BY: Mapping[str, str] = {"execution_id": "get_workflow_status", "resource_id": "get_resource_details"}
_FOUND_BY: Mapping[str, str] = {
    "execution_id": "list_workflow_executions()",
    "resource_id": "list_resources()",
    "workflow_name": "list_golden_paths()",
    "inputs": "list_golden_paths()",
    "provider_name": "list_providers()",
    "resource_type": "list_providers()",
    "application": "list_specs()",
}
"""Where the values of arguments are found; each at the tool of its own kind only."""


def failed(error: InnominatusError, *, tool: str = "submit_spec", given: Mapping[str, object] = {}) -> CallToolResult:
    """The error as a result that the model reads, with every problem. Never the text of an unexpected exception.

    `tool` and `given` are the call that failed: what to call next may say them again.
    """
    problems = _problems(error)
    shown: JsonObject = {"code": error.code, "message": _short(error.message)}
    if problems:
        shown["problems"] = problems[:_MOST_PROBLEMS]
    if len(problems) > _MOST_PROBLEMS:
        shown["more_problems"] = len(problems) - _MOST_PROBLEMS
    # The hash of the new plan stays out: it is given by the dry run that shows the plan.
    items = error.details.get("items")
    if isinstance(items, list):
        every = [_short(str(item)) for item in items]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] # details are for machines, untyped
        more = [f"and {len(every) - _MOST_PROBLEMS} more"] if len(every) > _MOST_PROBLEMS else []
        shown["details"] = list[Json]([*every[:_MOST_PROBLEMS], *more])
    shown["hint"] = _short(error.hint) or FAMILY_HINTS[error.family]
    return result({"error": shown, "next": list[Json](_next(error, tool, given))}, is_error=True)


def _next(error: InnominatusError, tool: str, given: Mapping[str, object]) -> Iterator[str]:
    elsewhere, declaring = error.details.get("environments"), error.details.get("providers")
    if isinstance(elsewhere, list) and elsewhere:
        yield f"{tool}(<same arguments>, environment={json.dumps(elsewhere[0])})"
    elif isinstance(declaring, list) and declaring:
        yield from _corrected(error, tool, [str(name) for name in declaring])  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] # details are for machines, untyped
    elif error.code in _NEXT:
        yield _NEXT[error.code].format(tool=tool)
    elif error.code in _LOOK:
        about = _LOOK[error.code]
        known = given.get(about)
        if isinstance(known, int):
            yield call(_SHOWN_BY[about], **{about: known})
    elif error.code == "invalid_inputs" and isinstance(name := given.get("workflow_name"), str):
        yield call("list_golden_paths", search=name)
    elif error.code == "unknown_state":
        yield f"{tool}(<same arguments without {'status' if 'status' in given else 'state'}>)"
    elif error.code == "invalid_arguments" and isinstance(error, Invalid):
        # Once a name is corrected its value is there: only what has no remedy of its own has to be looked up.
        lost = [found.path for found in error.problems if found.path in _FOUND_BY and not found.fix]
        yield from dict.fromkeys(_FOUND_BY[path] for path in lost)


def _corrected(error: InnominatusError, tool: str, providers: list[str]) -> Iterator[str]:
    """The same once more, then where it stands what is right."""
    if tool in _CORRECTED:
        yield _CORRECTED[tool]
    yield from (call("get_provider_details", provider_name=name) for name in providers[:_MOST_PROVIDERS])
    if isinstance(error, Invalid) and any(found.code == "unknown_resource_type" for found in error.problems):
        yield _NEXT["unknown_resource_type"]


def _problems(error: InnominatusError) -> list[Json]:
    if not isinstance(error, Invalid):
        return []
    return [_problem(found) for found in error.problems if found.severity is Severity.ERROR]


def _problem(found: Problem) -> JsonObject:
    view: JsonObject = {"path": _short(found.path), "message": _short(found.message)}
    if found.line:
        view["line"] = found.line
    if found.fix:
        view["fix"] = _short(found.fix)
    return view


def _short(text: str) -> str:
    """One line: nothing in an error can look like a line of its own."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
