"""What a plan knows of what comes after it: values that are outputs still to be made, and updates that may follow."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.domain.placeholders import resource_references
from engine.domain.plan import Action, PlanItem
from engine.domain.plan_question import Question
from engine.domain.provider import Operation
from engine.domain.resource import PROVISIONED, Resource, ResourceKey
from engine.domain.values import Json
from engine.errors import quoted

_MOVES = frozenset({Action.CREATE, Action.UPDATE})
_UPDATED, _ANEW, _MAYBE = "is updated", "is created anew", "may be updated"
_OF_SEVERAL = {_UPDATED: "are updated", _ANEW: "are created anew", _MAYBE: _MAYBE}
_MOST_NAMED = 5


def foreseen(items: Sequence[PlanItem], gone: Sequence[PlanItem], question: Question) -> list[PlanItem]:
    """The items, dependencies first as they come, with what is known of them only after apply; then what is gone.

    An item that is unchanged or kept and depends on one whose outputs may change says that it may be updated, and why.
    """
    moving = {item.key for item in items if item.action in _MOVES}
    names = {name: item.key for item in items for name in (item.name, *item.aliases)}
    changing: dict[ResourceKey, str] = {}
    told: list[PlanItem] = []
    for item in items:
        after = _with_unknowns(item, names, moving)
        if item.action is Action.UNCHANGED:
            after = _with_consequences(after, names, changing, question)
        elif (what := _change(item, question)) is not None:
            changing[item.key] = what
        told.append(after)
    return told + _kept(gone, changing, question)


def _kept(gone: Sequence[PlanItem], changing: dict[ResourceKey, str], question: Question) -> list[PlanItem]:
    """What is kept was made with what its names stood for before, and goes along with that."""
    names = {
        reference.name: key
        for key, current in question.current.items()
        for reference in current.references
        if reference.application == question.application
    }
    while True:
        known = len(changing)
        told = [_kept_item(item, names, changing, question) for item in reversed(gone)]  # dependencies first
        if len(changing) == known:
            return told[::-1]


def _kept_item(
    item: PlanItem, names: Mapping[str, ResourceKey], changing: dict[ResourceKey, str], question: Question
) -> PlanItem:
    if item.action is not Action.KEPT or not _goes_along(item, question):
        return item
    read = {names[name] for name in resource_references(item.params) if name in names} - {item.key}
    return _said(item, "reads outputs of", sorted(read & changing.keys()), changing, question)


def _with_unknowns(item: PlanItem, names: Mapping[str, ResourceKey], moving: set[ResourceKey]) -> PlanItem:
    """Mark what becomes known only after apply: values read from resources that are created or updated first."""
    unknown = tuple(
        f"{path} (from `resources.{name}`)"
        for path, leaf in _leaves(item.params)
        for name in sorted(resource_references(leaf))
        if names.get(name) in moving
    )
    waits = item.action in _MOVES or item.action is Action.UNCHANGED
    return replace(item, known_after_apply=unknown) if waits and unknown else item


def _change(item: PlanItem, question: Question) -> str | None:
    """How the outputs of something that others were made with may change."""
    if item.action is Action.UPDATE:
        return _UPDATED
    current = question.current.get(item.key)
    return _ANEW if item.action is Action.CREATE and current and current.resource.observed_generation else None


def _with_consequences(
    item: PlanItem, names: Mapping[str, ResourceKey], changing: dict[ResourceKey, str], question: Question
) -> PlanItem:
    """Who waits for what changes is updated once outputs have; adds to `changing` what may change by that."""
    if not _goes_along(item, question):
        return item
    read = {names[name] for name in resource_references(item.params) if name in names} - {item.key}
    causes = [key for key in item.depends_on if key in changing and key in read]
    how = "reads outputs of" if causes else "depends on"
    return _said(item, how, causes or [key for key in item.depends_on if key in changing], changing, question)


def _said(
    item: PlanItem, how: str, causes: Sequence[ResourceKey], changing: dict[ResourceKey, str], question: Question
) -> PlanItem:
    if not causes:
        return item
    because = f"it {how} {_named(causes, changing)}"
    owner = question.registry.resolve(item.key.type)
    if owner is not None and Operation.UPDATE in owner[1].operations:
        changing[item.key] = _MAYBE
        said = f"may be updated: {because}"
    else:
        said = f"may fall behind: {because}, and its provider cannot update it"
    return replace(item, reason=f"{item.reason}; {said}" if item.reason else said)


def _goes_along(item: PlanItem, question: Question) -> bool:
    """Whether a change of what it was made with concerns the item; what others own reads what their specs say."""
    resource = question.current[item.key].resource
    return resource.application == question.application and _follows(resource)


def _follows(resource: Resource) -> bool:
    if resource.in_progress:
        return True
    return resource.state in PROVISIONED and resource.pending in {None, Operation.DELETE}


def _named(causes: Sequence[ResourceKey], changing: Mapping[ResourceKey, str]) -> str:
    """`a`, `b`, which are updated, and `c`, which may be updated."""
    parts: list[str] = []
    for how, of_several in _OF_SEVERAL.items():
        keys = [key for key in causes if changing[key] == how]
        more = len(keys) - _MOST_NAMED
        listed = quoted(map(str, keys[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")
        if keys:
            parts.append(f"{listed}, which {how if len(keys) == 1 else of_several}")
    return ", and ".join(parts)


def _leaves(value: Json, path: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{path}.{key}" if path else key)]
    if isinstance(value, list):
        return [leaf for index, inner in enumerate(value) for leaf in _leaves(inner, f"{path}[{index}]")]
    return [(path, value)] if isinstance(value, str) else []
