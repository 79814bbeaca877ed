"""What becomes of resources that a spec no longer wants: deleted, forgotten, kept, or refused."""

from dataclasses import replace

from engine.domain.plan import Action, PlanItem
from engine.domain.plan_question import Current, Owner, Question, with_operation
from engine.domain.provider import Operation
from engine.domain.resource import Resource, ResourceKey, ResourceState
from engine.domain.spec import WORKLOAD
from engine.errors import quoted

_UNMADE = frozenset({ResourceState.REQUESTED, ResourceState.BLOCKED})


def gone_items(question: Question, *, but: frozenset[ResourceKey]) -> list[PlanItem]:
    """The application's resources that are not in `but`, in the order they go.

    What was created last goes first (ids rise with dependencies), the workload before all.
    """
    if question.partial and question.spec is not None:
        return []
    gone = [
        _gone_item(current, question)
        for key, current in sorted(question.current.items(), key=lambda pair: pair[0])
        if key not in but and any(reference.application == question.application for reference in current.references)
    ]
    return sorted(gone, key=lambda item: (item.key.type != WORKLOAD, -(item.resource_id or 0)))


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
    if resource.state in _UNMADE:
        return replace(item, action=Action.RETAIN, reason="nothing was made yet", releases=True)
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
        return replace(item, action=Action.RETAIN, reason=forgotten, releases=True)
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
