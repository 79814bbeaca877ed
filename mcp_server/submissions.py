"""What a submission or deletion answers with: its plan, and how to apply it."""

import json

from engine.domain.values import Json, JsonObject
from engine.services.submissions import Submission
from mcp_server.answers import LARGEST_ANSWER, call
from mcp_server.arguments import PlanCursor
from mcp_server.house import LONGEST_WAIT
from mcp_server.plans import plan_page, plan_table

_MOST_WARNINGS, _LONGEST_WARNING = 20, 300
_BESIDE = 3_000
"""Bytes that an answer needs beside its plan and its warnings."""


def submission(made: Submission, *, agreed: bool = False) -> JsonObject:
    """What was done; without the rows of a plan that was `agreed` to, for who agreed has seen them."""
    plan: JsonObject = {} if made.plan is None or agreed else {"plan": plan_table(made.plan)}
    return {**_about(made), **plan, "warnings": _warnings(made)}


def preview(
    tool: str, made: Submission, cursor: PlanCursor, arguments: JsonObject, *, wait_seconds: int = LONGEST_WAIT
) -> JsonObject:
    """What a dry run found: the plan or a page of it, the call that gives the next page, and the one that applies it.

    That one is offered to who has seen all that the plan deletes; it waits for `wait_seconds`.
    """
    assert made.plan is not None
    warnings = [] if cursor.after else _warnings(made)
    page = plan_page(made.plan, after=cursor.after, room=LARGEST_ANSWER - _BESIDE - len(json.dumps(warnings)))
    following: list[Json] = [call(tool, **arguments, dry_run=True, cursor=page.cursor)] if page.cursor else []
    if not page.destroys_more:
        waits: JsonObject = {"wait_seconds": wait_seconds} if wait_seconds else {}
        following.append(_applying(tool, made, **arguments, **waits))
    return {
        **_about(made),
        "shown": page.told,
        "plan": page.rows,
        "next_cursor": page.cursor,
        "warnings": warnings,
        "next": following,
    }


def _about(made: Submission) -> JsonObject:
    return {
        "application": made.application,
        "environment": made.environment,
        "applied": made.applied,
        "plan_hash": made.plan_hash,
        "version": made.version,
        "execution_ids": list[Json](made.execution_ids),
        "replayed": made.replayed or None,
        "summary": made.plan.summary if made.plan else None,
    }


def _warnings(made: Submission) -> list[Json]:
    found = [*map(str, made.warnings), *(made.plan.warnings if made.plan else ())]
    kept: list[Json] = [text[:_LONGEST_WARNING] for text in found[:_MOST_WARNINGS]]
    return [*kept, f"and {len(found) - len(kept)} more"] if len(found) > len(kept) else kept


def _applying(tool: str, made: Submission, **arguments: Json) -> str:
    """The call that applies the plan of a dry run; what it would change stands in the plan.

    A plan without changes is worth applying where the spec is new: what the application refers to is kept for it.
    """
    if made.on_record and made.plan is not None and not made.plan.has_changes:
        return "nothing to do: what exists is what was asked for"
    return call(tool, **arguments, plan_hash=made.plan_hash)
