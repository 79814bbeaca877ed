"""What went wrong, as a model can use it: what it is, what is valid, what to call next."""

from collections.abc import Mapping

from mcp_types import CallToolResult

from engine.domain.values import Json, JsonObject
from engine.errors import InnominatusError, Invalid, Problem, Severity
from mcp_server.answers import result

_MOST_PROBLEMS = 20
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

_NEXT: Mapping[str, str] = {
    "provider_not_found": "list_providers()",
    "golden_path_not_found": "list_golden_paths()",
    "workflow_not_found": "list_golden_paths()",
    "missing_application": "list_specs()",
    "not_runnable": "list_golden_paths()",
    "execution_not_found": "list_workflow_executions()",
    "resource_not_found": "list_resources()",
    "application_not_found": "list_specs()",
    "unknown_resource_type": "list_providers()",
    "invalid_spec": "submit_spec(spec_yaml=<corrected>, dry_run=true)",
    "plan_hash_required": "submit_spec(<same arguments>, dry_run=true)",
    "stale_plan": "submit_spec(<same arguments without plan_hash>, dry_run=true)",
    "busy": "list_resources()",
}


def failed(error: InnominatusError) -> CallToolResult:
    """The error as a result that the model reads, with every problem. Never the text of an unexpected exception."""
    problems = _problems(error)
    shown: JsonObject = {"code": error.code, "message": _short(error.message)}
    if problems:
        shown["problems"] = problems[:_MOST_PROBLEMS]
    if len(problems) > _MOST_PROBLEMS:
        shown["more_problems"] = len(problems) - _MOST_PROBLEMS
    # The hash of the new plan stays out: it is given by the dry run that shows the plan.
    items = error.details.get("items")
    if isinstance(items, list):
        shown["details"] = [_short(str(item)) for item in items[:_MOST_PROBLEMS]]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] # details are for machines, untyped
    shown["hint"] = _short(error.hint) or FAMILY_HINTS[error.family]
    following = _NEXT.get(error.code)
    content: JsonObject = {"error": shown}
    if following:
        content["next"] = [following]
    return result(content, is_error=True)


def _problems(error: InnominatusError) -> list[Json]:
    if not isinstance(error, Invalid):
        return []
    return [_problem(found) for found in error.problems if found.severity is Severity.ERROR]


def _problem(found: Problem) -> JsonObject:
    view: JsonObject = {"path": found.path, "message": _short(found.message)}
    if found.line:
        view["line"] = found.line
    if found.fix:
        view["fix"] = _short(found.fix)
    return view


def _short(text: str) -> str:
    """One line: nothing in an error can look like a line of its own."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
