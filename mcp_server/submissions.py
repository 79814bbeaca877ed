"""What a submission or deletion answers with: its plan, and how to apply it."""

from engine.domain.values import Json, JsonObject
from engine.services.submissions import Submission
from mcp_server.answers import call
from mcp_server.plans import plan_table

_MOST_WARNINGS = 20


def submission(made: Submission) -> JsonObject:
    answer: JsonObject = {
        "application": made.application,
        "environment": made.environment,
        "applied": made.applied,
        "plan_hash": made.plan_hash,
        "version": made.version,
        "execution_ids": list(made.execution_ids),
        "replayed": made.replayed or None,
    }
    warnings: list[Json] = [str(found) for found in made.warnings[:_MOST_WARNINGS]]
    if len(made.warnings) > _MOST_WARNINGS:
        warnings.append(f"and {len(made.warnings) - _MOST_WARNINGS} more")
    if made.plan is not None:
        answer |= {"summary": made.plan.summary, "plan": plan_table(made.plan)}
        warnings += made.plan.warnings
    return {**answer, "warnings": warnings}


def applying(tool: str, made: Submission, **arguments: Json) -> str:
    """The call that applies the plan of a dry run; what it would change stands in the plan.

    A plan without changes is worth applying where the spec is new: what the application refers to is kept for it.
    """
    if made.on_record and made.plan is not None and not made.plan.has_changes:
        return "nothing to do: what exists is what was asked for"
    return call(tool, **arguments, plan_hash=made.plan_hash)
