"""A plan as a table: whole where it fits, else in pages that begin with what is destroyed."""

from dataclasses import dataclass

from engine.domain.plan import DESTRUCTIVE, Action, Plan, PlanItem
from engine.domain.values import Json, JsonObject
from mcp_server.answers import fitting, table

_COLUMNS = ("action", "resource", "name", "provider", "workflow", "why", "known_after_apply")
_MOST_CHANGES = 6


@dataclass(frozen=True, slots=True)
class PlanPage:
    """Some rows of a plan. `cursor` leads to the rest, empty at the end; `cursor_of` reads it back.

    `told` says which rows these are, empty where they are all. `destroys_more` when the rest would delete something.
    """

    rows: JsonObject
    cursor: str = ""
    told: str = ""
    destroys_more: bool = False


def plan_table(plan: Plan) -> JsonObject:
    """What happens, in the order it happens."""
    return table(_COLUMNS, [_row(item) for item in plan.items])


def plan_page(plan: Plan, *, after: int, room: int) -> PlanPage:
    """The rows behind the first `after`, as many as go into `room` bytes."""
    whole = [_row(item) for item in plan.items]
    if not after and len(fitting(_COLUMNS, whole, room=room)) == len(whole):
        return PlanPage(table(_COLUMNS, whole))
    items = sorted(plan.items, key=_weight)
    kept = fitting(_COLUMNS, [_row(item) for item in items[after:]], room=room)
    end = after + len(kept)
    told = f"rows {after + 1} to {end} of {len(items)}: first what is deleted, then what changes, then the rest"
    return PlanPage(
        {"columns": list[Json](_COLUMNS), "rows": list[Json](kept)},
        cursor=f"{plan.hash}:{end}" if end < len(items) else "",
        told=told if kept else f"there are no rows behind {after}",
        destroys_more=any(item.action in DESTRUCTIVE for item in items[end:]),
    )


def _weight(item: PlanItem) -> int:
    if item.action in DESTRUCTIVE:
        return 0
    return 1 if item.changes_something or item.action is Action.BLOCKED else 2


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
