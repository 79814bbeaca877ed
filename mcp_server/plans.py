"""A plan as a table."""

from engine.domain.plan import Plan, PlanItem
from engine.domain.values import Json, JsonObject
from mcp_server.answers import table

_COLUMNS = ("action", "resource", "name", "provider", "workflow", "why", "known_after_apply")
_MOST_CHANGES = 6


def plan_table(plan: Plan) -> JsonObject:
    """What happens, in the order it happens."""
    return table(_COLUMNS, [_row(item) for item in plan.items])


def _row(item: PlanItem) -> list[Json]:
    changes = [f"{c.path}: {_side(c.before)} -> {_side(c.after)}" for c in item.changes[:_MOST_CHANGES]]
    more = len(item.changes) - len(changes)
    if more:
        changes.append(f"and {more} more")
    why = "; ".join(part for part in (item.reason, *changes) if part)
    return [
        item.action.value,
        str(item.key),
        item.name,
        item.provider,
        item.workflow,
        why,
        ", ".join(item.known_after_apply),
    ]


def _side(value: Json) -> str:
    if value is None:
        return "(absent)"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
