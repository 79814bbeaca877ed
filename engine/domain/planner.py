"""Compare what a spec wants with what exists. Pure and deterministic: the same values give the same plan and hash."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.domain.changes import changed_leaves
from engine.domain.placeholders import resource_references
from engine.domain.plan import Action, Plan, PlanItem
from engine.domain.provider import Operation, Provider, Registry, ResourceType
from engine.domain.resource import PROVISIONED, Resource, ResourceKey, ResourceState
from engine.domain.spec import DEFAULT_CLASS, WORKLOAD, ResourceDeclaration, Spec
from engine.domain.topology import topological_order
from engine.domain.values import ApplicationId, JsonObject
from engine.errors import Problem, quoted

ParamsCheck = Callable[[ResourceType, JsonObject], Sequence[Problem]]
Fingerprint = Callable[[JsonObject], str]


@dataclass(frozen=True, slots=True)
class Reference:
    """An application that refers to a resource, with the params it asks for."""

    application_id: ApplicationId
    application: str
    name: str
    params: JsonObject


@dataclass(frozen=True, slots=True)
class Current:
    """A resource that exists, and who refers to it."""

    resource: Resource
    references: tuple[Reference, ...] = ()

    def others(self, application: str) -> tuple[Reference, ...]:
        return tuple(reference for reference in self.references if reference.application != application)


@dataclass(frozen=True, slots=True)
class Question:
    """Everything a plan is worked out from. `current` holds this application's resources and those the spec's ids name."""

    application: str
    environment: str
    registry: Registry
    current: Mapping[ResourceKey, Current]
    spec: Spec | None = None
    """None asks for the deletion of everything the application refers to."""
    prune: bool = False
    partial: bool = False
    """True when `spec` is an addition: there is no workload in it, and what it leaves out is not gone."""
    check_params: ParamsCheck = field(default=lambda _kind, _params: ())
    fingerprint: Fingerprint = field(default=lambda params: hashlib.sha256(canonical(params)).hexdigest())


@dataclass(frozen=True, slots=True)
class Answer:
    """A plan, or the problems that stand in its way (then `plan` is None)."""

    plan: Plan | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _Desired:
    key: ResourceKey
    declaration: ResourceDeclaration
    owner: tuple[Provider, ResourceType] | None
    depends_on: tuple[ResourceKey, ...]
    reads: Mapping[str, ResourceKey] = field(default_factory=dict[str, ResourceKey])
    """The resources whose outputs its params read, by the name they are read under."""
    aliases: tuple[str, ...] = ()


def canonical(value: object) -> bytes:
    """The one byte form of a JSON value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def make_plan(question: Question) -> Answer:
    """The plan for `question`, or every problem that makes it impossible."""
    desired, problems = _desired(question)
    conflicts = [problem for want in desired for problem in _conflicts(want, question)]
    if problems or conflicts:
        return Answer(None, (*problems, *conflicts))
    keys = {want.key for want in desired}
    wanted = _in_order([_wanted_item(want, question) for want in desired])
    gone = [
        _gone_item(current, question)
        for key, current in sorted(question.current.items())
        if key not in keys and _refers(current, question.application) and not (question.partial and question.spec)
    ]
    items = _with_knowledge(wanted, question) + _reverse_order(gone, question)
    plan = Plan(question.application, question.environment, tuple(items), tuple(_warnings(items)))
    return Answer(replace(plan, hash=_hash(plan, question)))


def key_of(declaration: ResourceDeclaration, *, application: str, environment: str, registry: Registry) -> ResourceKey:
    """The identity of a declaration: its primary type, class, and Score's `id` or `application.name`."""
    owner = registry.resolve(declaration.type)
    return ResourceKey(
        environment,
        owner[1].name if owner else declaration.type,
        declaration.resource_class,
        declaration.id or f"{application}.{declaration.name}",
    )


def workload_key(application: str, environment: str) -> ResourceKey:
    return ResourceKey(environment, WORKLOAD, DEFAULT_CLASS, application)


def _desired(question: Question) -> tuple[list[_Desired], list[Problem]]:
    spec, registry = question.spec, question.registry
    if spec is None:
        return [], []
    problems: list[Problem] = []
    by_name = {
        name: key_of(declaration, application=question.application, environment=question.environment, registry=registry)
        for name, declaration in spec.resources.items()
    }
    wants: dict[ResourceKey, _Desired] = {}
    for name, declaration in spec.resources.items():
        owner = registry.resolve(declaration.type)
        problems += _declaration_problems(declaration, owner, question)
        references = sorted(resource_references(declaration.params))
        depends_on = tuple(sorted({by_name[other] for other in references if other in by_name} - {by_name[name]}))
        twin = wants.get(by_name[name])
        if twin is None:
            reads = {other: by_name[other] for other in references if other in by_name}
            wants[by_name[name]] = _Desired(by_name[name], declaration, owner, depends_on, reads)
        elif twin.declaration.params == declaration.params:
            wants[twin.key] = replace(twin, aliases=(*twin.aliases, name))
        else:
            problems.append(_twin_problem(declaration, twin.declaration))
    workload = [] if question.partial else [_workload(spec, by_name, question)]
    return [*wants.values(), *workload], problems


def _workload(spec: Spec, by_name: Mapping[str, ResourceKey], question: Question) -> _Desired:
    declaration = ResourceDeclaration(name=WORKLOAD, type=WORKLOAD, id=question.application, params=spec.workload)
    key = workload_key(question.application, question.environment)
    reads = {name: by_name[name] for name in sorted(resource_references(spec.workload)) if name in by_name}
    depends_on = tuple(sorted(set(by_name.values())))
    return _Desired(key, declaration, question.registry.resolve(WORKLOAD), depends_on, reads)


def _declaration_problems(
    declaration: ResourceDeclaration, owner: tuple[Provider, ResourceType] | None, question: Question
) -> list[Problem]:
    path = f"resources.{declaration.name}"
    if owner is None:
        close = question.registry.nearest_types(declaration.type)
        known = close or question.registry.type_names
        return [
            Problem(
                "unknown_resource_type",
                f"{path}.type",
                f"no provider offers the resource type `{declaration.type}`",
                f"{'the nearest types are' if close else 'known types are'} {quoted(known)}" if known else "",
                line=declaration.line,
            )
        ]
    return [
        replace(problem, path=f"{path}.params{'.' if problem.path else ''}{problem.path}", line=declaration.line)
        for problem in question.check_params(owner[1], declaration.params)
    ]


def _twin_problem(declaration: ResourceDeclaration, other: ResourceDeclaration) -> Problem:
    return Problem(
        "conflicting_declarations",
        f"resources.{declaration.name}",
        f"is the same resource as `resources.{other.name}` (type, class and id are equal) but its params differ",
        "give both the same params, or another `id`",
        line=declaration.line,
    )


def _conflicts(want: _Desired, question: Question) -> list[Problem]:
    """Other applications that ask for the same id with other params."""
    current = question.current.get(want.key)
    if current is None or current.resource.state is ResourceState.TERMINATED:
        return []
    return [
        Problem(
            "resource_conflict",
            f"resources.{want.declaration.name}",
            f"application `{other.application}` already has `{want.key}` with other params",
            f"use the params that `{other.application}` declares for `{other.name}`, or another `id`",
            line=want.declaration.line,
        )
        for other in current.others(question.application)
        if other.params != want.declaration.params
    ]


def _wanted_item(want: _Desired, question: Question) -> PlanItem:
    current = question.current.get(want.key)
    resource = current.resource if current else None
    item = PlanItem(
        want.key,
        want.declaration.name,
        Action.UNCHANGED,
        params=want.declaration.params,
        depends_on=want.depends_on,
        resource_id=resource.id if resource else None,
        generation=resource.desired_generation if resource else 0,
        aliases=want.aliases,
    )
    if want.owner is None:
        return replace(
            item,
            action=Action.BLOCKED,
            reason=f"no provider offers `{want.key.type}`: the containers are not deployed by this platform",
        )
    if resource is None or resource.state is ResourceState.TERMINATED:
        reason = "new" if resource is None else "wanted again after it was deleted"
        return _with_operation(item, Action.CREATE, Operation.CREATE, want.owner, reason=reason)
    return _compared(item, resource, want.owner, other_names=_read_elsewhere(want, question))


def _read_elsewhere(want: _Desired, question: Question) -> tuple[str, ...]:
    """Names its params read that stood for another resource before."""
    before = {
        reference.name: key
        for key, current in question.current.items()
        for reference in current.references
        if reference.application == question.application
    }
    return tuple(name for name, key in want.reads.items() if before.get(name, key) != key)


def _compared(
    item: PlanItem, resource: Resource, owner: tuple[Provider, ResourceType], *, other_names: tuple[str, ...]
) -> PlanItem:
    changes = changed_leaves(resource.params, item.params, secret=owner[1].secret_params)
    item = replace(item, changes=changes)
    if resource.pending is Operation.DELETE and resource.state in PROVISIONED and not changes:
        return replace(item, reason="its deletion has not begun and is withdrawn", provider=owner[0].name)
    if resource.pending is Operation.DELETE:
        never_made = resource.observed_generation == 0 and resource.state is ResourceState.FAILED
        again = Operation.CREATE if resource.state is ResourceState.TERMINATING or never_made else Operation.UPDATE
        return _with_operation(item, Action(again.value), again, owner, reason="wanted again while it is being deleted")
    if resource.state is ResourceState.FAILED:
        operation = resource.pending or Operation.CREATE
        return _with_operation(
            item, Action(operation.value), operation, owner, reason=f"repeats the {operation} that failed"
        )
    if not changes and other_names and resource.observed_generation:
        reason = f"{quoted(other_names)} stand for other resources now"
        return _with_operation(item, Action.UPDATE, Operation.UPDATE, owner, reason=reason)
    if not changes:
        busy = f"{resource.state}, nothing new to do" if resource.pending else ""
        return replace(item, reason=busy, provider=owner[0].name, version=owner[0].version)
    if resource.state in {ResourceState.REQUESTED, ResourceState.BLOCKED}:
        return _with_operation(item, Action.CREATE, Operation.CREATE, owner, reason="not provisioned yet")
    return _with_operation(item, Action.UPDATE, Operation.UPDATE, owner, reason="its params changed")


def _with_operation(
    item: PlanItem, action: Action, operation: Operation, owner: tuple[Provider, ResourceType], *, reason: str
) -> PlanItem:
    provider, kind = owner
    workflows = kind.operations.get(operation)
    item = replace(item, provider=provider.name, version=provider.version, digest=provider.digest)
    if workflows is None:
        return replace(
            item,
            action=Action.BLOCKED,
            reason=f"provider `{provider.name}` has no {operation} workflow for `{kind.name}`"
            + ("; delete it and create it anew to change it" if operation is Operation.UPDATE else ""),
        )
    return replace(item, action=action, operation=operation, workflow=workflows.choose(), reason=reason)


def _refers(current: Current, application: str) -> bool:
    return any(reference.application == application for reference in current.references)


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
    )
    if resource.pending is Operation.DELETE and resource.state is not ResourceState.FAILED:
        return replace(item, action=Action.UNCHANGED, reason="is being deleted")
    if question.spec is not None and not question.prune:
        return replace(item, reason="no longer in the spec; `prune` deletes it")
    others = sorted({reference.application for reference in current.others(question.application)})
    if others:
        return replace(item, reason=f"still used by {quoted(others)}", releases=True)
    return _deletion(replace(item, releases=True), resource, question)


def _deletion(item: PlanItem, resource: Resource, question: Question) -> PlanItem:
    """How the last referrer's resource goes: by a workflow, by forgetting, or not at all."""
    owner = question.registry.resolve(resource.key.type)
    if owner is not None and owner[1].protects(question.environment):
        return replace(
            item,
            action=Action.BLOCKED,
            releases=False,
            reason=f"`{resource.key.type}` is protected in environment `{question.environment}` by `{owner[0].name}`",
        )
    keeps = owner is not None and (
        owner[1].retains(question.environment) or not owner[1].operations.get(Operation.DELETE)
    )
    if keeps and resource.in_progress:
        return replace(
            item, action=Action.BLOCKED, releases=False, reason=f"it is `{resource.state}`; ask again when that is over"
        )
    if owner is not None and owner[1].retains(question.environment):
        return replace(item, action=Action.RETAIN, reason="its provider keeps the real thing in this environment")
    if resource.state in {ResourceState.REQUESTED, ResourceState.BLOCKED, ResourceState.TERMINATED}:
        return replace(item, action=Action.RETAIN, reason="nothing was made yet")
    if owner is not None and owner[1].operations.get(Operation.DELETE) is not None:
        return _with_operation(item, Action.DELETE, Operation.DELETE, owner, reason="no longer wanted")
    if owner is not None:
        return replace(
            item, action=Action.RETAIN, reason=f"`{owner[0].name}` has no delete workflow; what it made stays"
        )
    return replace(
        item,
        action=Action.DELETE,
        operation=Operation.DELETE,
        reason="its provider is gone; its recorded bundle is used",
    )


def _in_order(items: list[PlanItem]) -> list[PlanItem]:
    by_key = {item.key: item for item in items}
    order = topological_order({item.key: [k for k in item.depends_on if k in by_key] for item in items})
    return [by_key[key] for key in order]


def _reverse_order(items: list[PlanItem], question: Question) -> list[PlanItem]:
    """Deletions: what was created last (ids rise with dependencies) goes first, the workload before all."""
    return sorted(items, key=lambda item: (item.key.type != WORKLOAD, -(item.resource_id or 0), question.environment))


def _with_knowledge(items: list[PlanItem], question: Question) -> list[PlanItem]:
    """Mark what becomes known only after apply: values read from resources that are created or updated first."""
    moving = {item.key for item in items if item.action in {Action.CREATE, Action.UPDATE}}
    names = {name: item.key for item in items for name in (item.name, *item.aliases)}
    marked: list[PlanItem] = []
    for item in items:
        unknown = tuple(
            f"{path} (from `resources.{name}`)"
            for path, leaf in _leaves(item.params)
            for name in sorted(resource_references(leaf))
            if names.get(name) in moving
        )
        waits = item.action in {Action.CREATE, Action.UPDATE, Action.UNCHANGED}
        marked.append(replace(item, known_after_apply=unknown) if waits and unknown else item)
    del question
    return marked


def _leaves(value: object, path: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{path}.{key}" if path else str(key))]
    if isinstance(value, list):
        return [leaf for index, inner in enumerate(value) for leaf in _leaves(inner, f"{path}[{index}]")]
    return [(path, value)] if isinstance(value, str) else []


def _warnings(items: Sequence[PlanItem]) -> list[str]:
    return [f"{item.key}: {item.reason}" for item in items if item.action in {Action.BLOCKED, Action.KEPT}]


def _hash(plan: Plan, question: Question) -> str:
    """Covers what is wanted, from whom, against which generations; params only as keyed fingerprints."""
    facts = {
        "application": plan.application,
        "environment": plan.environment,
        "delete": question.spec is None,
        "prune": question.prune,
        "items": [
            [
                str(item.key),
                item.name,
                item.action,
                item.operation,
                item.digest,
                item.workflow,
                item.generation,
                item.releases,
                question.fingerprint(item.params),
            ]
            for item in plan.items
        ],
    }
    return "p" + hashlib.sha256(canonical(facts)).hexdigest()[:20]
