"""What would change: the values of a plan. Working one out is `planner`."""

from dataclasses import dataclass, field
from enum import StrEnum

from engine.domain.provider import Operation
from engine.domain.resource import ResourceKey
from engine.domain.values import Json, JsonObject, ResourceId


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    """Gone from the spec, but left as it is: `prune` was not asked for, or another application refers to it."""
    FORGET = "forget"
    """Forgotten here, the real thing stays."""
    BLOCKED = "blocked"
    """Cannot be done; `reason` says why."""


CHANGING = frozenset({Action.CREATE, Action.UPDATE, Action.DELETE, Action.FORGET})
DESTRUCTIVE = frozenset({Action.DELETE, Action.FORGET})


@dataclass(frozen=True, slots=True)
class Change:
    """One leaf of the params that differs; a side is None where the leaf is absent. Secrets are shown as `***`."""

    path: str
    before: Json
    after: Json


@dataclass(frozen=True, slots=True)
class PlanItem:
    """One resource in a plan. `name` is its name in the spec; `depends_on` are keys of other items or resources."""

    key: ResourceKey
    name: str
    action: Action
    reason: str = ""
    provider: str = ""
    version: str = ""
    digest: str = ""
    workflow: str = ""
    operation: Operation | None = None
    params: JsonObject = field(default_factory=dict[str, Json])
    changes: tuple[Change, ...] = ()
    depends_on: tuple[ResourceKey, ...] = ()
    known_after_apply: tuple[str, ...] = ()
    """Paths of params whose values are outputs of resources that do not have them yet."""
    resource_id: ResourceId | None = None
    generation: int = 0
    """The resource's desired generation the plan was made against; 0 when it does not exist."""
    claims: bool = False
    """The resource exists, and the application refers to it otherwise, or only now, once the plan is applied."""
    releases: bool = False
    """The application no longer refers to the resource once the plan is applied."""
    aliases: tuple[str, ...] = ()
    """Further names under which the spec declares the same resource."""
    gone: bool = False
    """The spec does not want the resource, or the application is to be deleted."""
    protected: bool = False
    """Blocked because its provider refuses deletion in this environment."""

    @property
    def changes_something(self) -> bool:
        """Also where the resource stays as it is, and only who refers to it changes."""
        return self.action in CHANGING or self.claims or self.releases


@dataclass(frozen=True, slots=True)
class Plan:
    """Items are in the order they happen: dependencies first, deletions last and in reverse.

    `hash` names exactly this plan.
    """

    application: str
    environment: str
    items: tuple[PlanItem, ...]
    warnings: tuple[str, ...] = ()
    hash: str = ""

    @property
    def has_changes(self) -> bool:
        return any(item.changes_something for item in self.items)

    @property
    def destructive(self) -> bool:
        return any(item.action in DESTRUCTIVE for item in self.items)

    def count(self, action: Action) -> int:
        return sum(item.action is action for item in self.items)

    @property
    def summary(self) -> str:
        """For people: `2 to create, 1 to update, 3 unchanged`."""
        referred = sum(item.claims for item in self.items if item.action is Action.UNCHANGED)
        counted = {
            "to create": self.count(Action.CREATE),
            "to update": self.count(Action.UPDATE),
            "to delete": self.count(Action.DELETE),
            "to forget": self.count(Action.FORGET),
            "to refer to": referred,
            "unchanged": self.count(Action.UNCHANGED) - referred,
            "kept": self.count(Action.KEPT),
            "blocked": self.count(Action.BLOCKED),
        }
        return ", ".join(f"{number} {text}" for text, number in counted.items() if number) or "nothing to do"
