"""What becomes of resources that a spec no longer wants: deleted, forgotten, kept, or refused."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from engine.domain.placeholders import resource_references
from engine.domain.plan import Action, PlanItem
from engine.domain.plan_question import Current, Owner, Question, with_operation
from engine.domain.provider import Operation
from engine.domain.resource import UNMADE, Resource, ResourceKey, ResourceState
from engine.domain.spec import WORKLOAD
from engine.errors import quoted

_NOTHING = UNMADE | {ResourceState.TERMINATED}


def gone_items(question: Question, *, wanted: Sequence[PlanItem]) -> list[PlanItem]:
    """The application's resources that are not among the `wanted`, in the order they go.

    What was created last goes first (ids rise with dependencies), the workload before all.
    """
    if question.partial and question.spec is not None:
        return []
    keys = {item.key for item in wanted}
    gone = {
        key: _gone_item(current, question)
        for key, current in sorted(question.current.items(), key=lambda pair: pair[0])
        if key not in keys and any(reference.application == question.application for reference in current.references)
    }
    stuck = [item.key for item in wanted if item.action is Action.BLOCKED and item.key in question.current]
    _spare(gone, [key for key in stuck if question.current[key].resource.state not in _NOTHING], question)
    return sorted(gone.values(), key=lambda item: (item.key.type != WORKLOAD, -(item.resource_id or 0)))


def _spare(gone: dict[ResourceKey, PlanItem], blocked: Iterable[ResourceKey], question: Question) -> None:
    """What is read by something that stays as it was made is kept, and what that reads in turn."""
    named = {
        reference.name: key
        for key, current in question.current.items()
        for reference in current.references
        if reference.application == question.application
    }
    users = [(key, "cannot be updated") for key in blocked]
    while users:
        user, why = users.pop()
        for name in sorted(resource_references(question.current[user].resource.params)):
            item = gone.get(named[name]) if name in named else None
            if item is not None and item.action is Action.DELETE:
                reason = f"still used by `{user}`, which {why}"
                gone[item.key] = replace(
                    item, action=Action.KEPT, operation=None, workflow="", releases=False, reason=reason
                )
                users.append((item.key, "is kept"))


def _gone_item(current: Current, question: Question) -> PlanItem:
    resource = current.resource
    mine = next(reference for reference in current.references if reference.application == question.application)
    item = PlanItem(
        resource.key,
        mine.name,
        Action.KEPT,
        params=resource.params,
        resource_id=resource.id,
        generation=resource.desired_generation,
        provider=resource.provider,
        digest=resource.digest,
        gone=True,
    )
    if resource.pending is Operation.DELETE and resource.state is not ResourceState.FAILED:
        return replace(item, action=Action.UNCHANGED, reason="is being deleted")
    if question.spec is not None and not question.prune:
        return replace(item, reason="no longer in the spec; `prune` deletes it")
    others = sorted({reference.application for reference in current.others(question.application)})
    if others:
        return replace(item, reason=f"still used by {quoted(others)}", releases=True)
    return _deletion(item, resource, question)


def _deletion(item: PlanItem, resource: Resource, question: Question) -> PlanItem:
    """How the last referrer's resource goes: by a workflow, by forgetting, or not at all."""
    if resource.state in UNMADE:
        return replace(item, action=Action.FORGET, reason="nothing was made yet", releases=True)
    owner, why = question.registry.resolve(resource.key.type), "no longer wanted"
    if owner is None:
        owner, why = _recorded_owner(resource, question), "its provider is gone; its recorded bundle is used"
    if owner is None:
        why = "its provider is gone, and so is what was recorded of it"
        return replace(item, action=Action.DELETE, operation=Operation.DELETE, reason=why, releases=True)
    provider, kind = owner
    if kind.protects(question.environment):
        why = f"`{kind.name}` is protected in environment `{question.environment}` by `{provider.name}`"
        return replace(item, action=Action.BLOCKED, reason=why, protected=True)
    forgotten = _forgotten(owner, question)
    if forgotten and resource.in_progress:
        why = f"it is `{resource.state}`; ask again when that is over"
        return replace(item, action=Action.BLOCKED, reason=why)
    if forgotten:
        return replace(item, action=Action.FORGET, reason=forgotten, releases=True)
    return with_operation(replace(item, releases=True), Action.DELETE, Operation.DELETE, owner, reason=why)


def _forgotten(owner: Owner, question: Question) -> str:
    """Why the resource is forgotten instead of deleted by a workflow; empty when it is not."""
    provider, kind = owner
    if kind.retains(question.environment):
        return "its provider keeps the real thing in this environment"
    if Operation.DELETE not in kind.operations:
        return f"`{provider.name}` has no delete workflow; what it made stays"
    return ""


def _recorded_owner(resource: Resource, question: Question) -> Owner | None:
    provider = question.recorded(resource.digest)
    kind = provider.resource_type(resource.key.type) if provider else None
    return (provider, kind) if provider and kind else None
