"""Compare what a spec wants with what exists. Pure and deterministic: the same values give the same plan and hash."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.domain.changes import changed_leaves
from engine.domain.foresight import foreseen
from engine.domain.output_check import output_problems
from engine.domain.placeholders import resource_references
from engine.domain.plan import Action, Plan, PlanItem
from engine.domain.plan_question import Current, Owner, Question, Reference, canonical, with_operation
from engine.domain.provider import Operation, Registry, ResourceType
from engine.domain.removal import gone_items
from engine.domain.resource import PROVISIONED, Resource, ResourceKey, ResourceState
from engine.domain.spec import DEFAULT_CLASS, WORKLOAD, ResourceDeclaration, Spec
from engine.domain.topology import topological_order
from engine.errors import Problem, quoted

__all__ = ["Answer", "Current", "Question", "Reference", "canonical", "key_of", "make_plan", "workload_key"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A plan, or the problems that stand in its way, in the order of their lines (then `plan` is None)."""

    plan: Plan | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _Desired:
    key: ResourceKey
    declaration: ResourceDeclaration
    owner: Owner | None
    depends_on: tuple[ResourceKey, ...]
    reads: Mapping[str, ResourceKey] = field(default_factory=dict[str, ResourceKey])
    """The resources whose outputs its params read, by the name they are read under."""
    aliases: tuple[str, ...] = ()


def make_plan(question: Question) -> Answer:
    """The plan for `question`, or every problem that makes it impossible."""
    desired, problems = _desired(question)
    conflicts = [problem for want in desired for problem in _conflicts(want, question)]
    if problems or conflicts:
        told = sorted((*problems, *conflicts), key=lambda one: (not one.line, one.line, one.column))
        return Answer(None, tuple(told))
    wanted = _in_order([_wanted_item(want, question) for want in desired])
    gone = gone_items(question, wanted=wanted)
    items = foreseen(wanted, gone, question)
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
    problems += [found for want in workload for found in _workload_problems(want, question)]
    return [*wants.values(), *workload], [*problems, *output_problems(spec, _types(spec, question))]


def _types(spec: Spec, question: Question) -> dict[str, ResourceType]:
    """What placeholders may read, by name: what the spec declares and, when it is an addition, what is there."""
    named = {name: declaration.type for name, declaration in spec.resources.items()}
    if question.partial:
        named |= {
            reference.name: key.type
            for key, current in question.current.items()
            for reference in current.references
            if reference.application == question.application and reference.name not in named
        }
    owners = {name: question.registry.resolve(kind) for name, kind in named.items()}
    return {name: owner[1] for name, owner in owners.items() if owner is not None}


def _workload(spec: Spec, by_name: Mapping[str, ResourceKey], question: Question) -> _Desired:
    declaration = ResourceDeclaration(
        name=WORKLOAD, type=WORKLOAD, id=question.application, params=spec.workload, place=spec.place
    )
    key = workload_key(question.application, question.environment)
    reads = {name: by_name[name] for name in sorted(resource_references(spec.workload)) if name in by_name}
    depends_on = tuple(sorted(set(by_name.values())))
    return _Desired(key, declaration, question.registry.resolve(WORKLOAD), depends_on, reads)


def _declaration_problems(declaration: ResourceDeclaration, owner: Owner | None, question: Question) -> list[Problem]:
    path = f"resources.{declaration.name}"
    if owner is None:
        close = question.registry.nearest_types(declaration.type)
        known = close or question.registry.type_names
        message = f"no provider offers the resource type `{declaration.type}`"
        fix = f"{'the nearest types are' if close else 'known types are'} {quoted(known, most=20)}" if known else ""
        return [_problem("unknown_resource_type", declaration, message, fix, "type")]
    return [
        replace(problem, path=f"{path}.params{'.' if problem.path else ''}{problem.path}", about=owner[1].name)
        for problem in question.check_params(
            owner[1], declaration.params, lambda within: declaration.place(("params", *within))
        )
    ]


def _workload_problems(want: _Desired, question: Question) -> Sequence[Problem]:
    """What the provider of workloads says it cannot run; the paths are those of the document."""
    declared = want.declaration
    return question.check_params(want.owner[1], declared.params, declared.place) if want.owner else ()


def _problem(code: str, declaration: ResourceDeclaration, message: str, fix: str, *within: str) -> Problem:
    """An error in a declaration, or at the key `within` it, with its place in the document."""
    line, column = declaration.place(within)
    return Problem(code, ".".join(("resources", declaration.name, *within)), message, fix, line, column)


def _twin_problem(declaration: ResourceDeclaration, other: ResourceDeclaration) -> Problem:
    return _problem(
        "conflicting_declarations",
        declaration,
        f"is the same resource as `resources.{other.name}` (type, class and id are equal) but its params differ",
        "give both the same params, or another `id`",
    )


def _conflicts(want: _Desired, question: Question) -> list[Problem]:
    """Other applications that ask for the same id with other params."""
    current = question.current.get(want.key)
    if current is None or current.resource.state is ResourceState.TERMINATED:
        return []
    return [
        _problem(
            "resource_conflict",
            want.declaration,
            f"application `{other.application}` already has `{want.key}` with other params",
            f"use the params that `{other.application}` declares for `{other.name}`, or another `id`",
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
        return with_operation(item, Action.CREATE, Operation.CREATE, want.owner, reason=reason)
    item = _compared(item, resource, want.owner, other_names=_read_elsewhere(want, question))
    return _referred(item, current, question) if current else item


def _referred(item: PlanItem, current: Current, question: Question) -> PlanItem:
    """With what changes of how the application refers to it, which is told where nothing else happens to it."""
    named = {found.name for found in current.references if found.application == question.application}
    wanted = {item.name, *item.aliases}
    if named == wanted:
        return item
    called = f"called {quoted(sorted(wanted))} from now on"
    new = f"`{question.application}` refers to it from now on" if not named else called
    reason = item.reason or (new if item.action is Action.UNCHANGED else "")
    return replace(item, claims=True, reason=reason)


def _read_elsewhere(want: _Desired, question: Question) -> tuple[str, ...]:
    """Names its params read that stood for another resource before."""
    before = {
        reference.name: key
        for key, current in question.current.items()
        for reference in current.references
        if reference.application == question.application
    }
    return tuple(name for name, key in want.reads.items() if before.get(name, key) != key)


def _compared(item: PlanItem, resource: Resource, owner: Owner, *, other_names: tuple[str, ...]) -> PlanItem:
    item = replace(item, changes=changed_leaves(resource.params, item.params, secret=owner[1].secret_params))
    operation, reason = _next_operation(resource, changed=bool(item.changes), other_names=other_names)
    if operation is not None:
        return with_operation(item, Action(operation.value), operation, owner, reason=reason)
    return replace(item, reason=reason, provider=owner[0].name, version=owner[0].version)


def _next_operation(resource: Resource, *, changed: bool, other_names: tuple[str, ...]) -> tuple[Operation | None, str]:
    """What is to be done with a resource that is wanted and exists, and why; None leaves it alone."""
    if resource.pending is Operation.DELETE:
        return _wanted_again(resource, changed=changed)
    if resource.state is ResourceState.FAILED:
        operation = resource.pending or Operation.CREATE
        return operation, f"repeats the {operation} that failed"
    stands = resource.state in PROVISIONED or resource.in_progress
    if changed:
        return (Operation.CREATE, "not provisioned yet") if not stands else (Operation.UPDATE, "its params changed")
    if other_names and stands:
        return Operation.UPDATE, f"{quoted(other_names)} stand for other resources now"
    return None, f"{resource.state}, nothing new to do" if resource.pending else ""


def _wanted_again(resource: Resource, *, changed: bool) -> tuple[Operation | None, str]:
    """A resource whose deletion is asked for or under way, and that is wanted after all."""
    missed = resource.desired_generation - resource.observed_generation > 1  # an update it never got
    if resource.state in PROVISIONED and not changed and not missed:
        return None, "its deletion has not begun and is withdrawn"
    never_made = resource.state is ResourceState.FAILED and not resource.fingerprint
    create = resource.state is ResourceState.TERMINATING or never_made
    return (Operation.CREATE if create else Operation.UPDATE), "wanted again while it is being deleted"


def _in_order(items: list[PlanItem]) -> list[PlanItem]:
    by_key = {item.key: item for item in items}
    order = topological_order({item.key: [k for k in item.depends_on if k in by_key] for item in items})
    return [by_key[key] for key in order]


def _warnings(items: Sequence[PlanItem]) -> list[str]:
    return [f"{item.key}: {item.reason}" for item in items if item.action in {Action.BLOCKED, Action.KEPT}]


def _hash(plan: Plan, question: Question) -> str:
    """Covers what is wanted, from whom, against which generations; params only as keyed fingerprints."""
    facts: dict[str, object] = {
        "application": plan.application,
        "environment": plan.environment,
        "delete": question.spec is None,
        "prune": question.prune,
        "items": [
            [
                [item.key.type, item.key.resource_class, item.key.id],
                [item.name, *item.aliases],
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
