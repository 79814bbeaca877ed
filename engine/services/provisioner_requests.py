"""Ask for single resources beside a spec: from a workflow step, or by naming a provisioner."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.domain.plan import Action, Plan
from engine.domain.planner import Current
from engine.domain.provider import Operation
from engine.domain.resource import ResourceKey
from engine.domain.spec import DEFAULT_CLASS, ResourceDeclaration, Spec
from engine.domain.spec_references import output_reads
from engine.domain.spec_shape import LABEL
from engine.domain.values import Actor, ExecutionId, JsonObject, ResourceId
from engine.errors import Conflict, Invalid, NotFound, Problem
from engine.services.applying import apply_plan
from engine.services.planning import check_plan, current_state, plan_for
from engine.services.platform import Platform
from engine.store import applications
from engine.store.database import Transaction


@dataclass(frozen=True, slots=True)
class ResourceWanted:
    """A resource of an application, in an environment."""

    application: str
    environment: str
    name: str
    type: str
    params: JsonObject
    resource_class: str = DEFAULT_CLASS
    id: str | None = None
    workflow: str = ""
    """The workflow that creates it, where one was named; empty leaves the choice to the provider."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The resource, and the execution that started for it; None when there was nothing to do or it must wait."""

    resource_id: ResourceId
    execution_id: ExecutionId | None


def ask_for_resource(tx: Transaction, platform: Platform, actor: Actor, wanted: ResourceWanted) -> Asked:
    """Create the resource, or update it when its params differ. Raises Invalid or Conflict."""
    application, new = applications.ensure(tx, wanted.application, wanted.environment, actor=str(actor))
    spec = _as_spec(wanted)
    current = current_state(
        tx,
        platform,
        application=application.name,
        application_id=None if new else application.id,
        environment=wanted.environment,
        spec=spec,
        locked=True,
    )
    plan = plan_for(
        platform,
        application=application.name,
        environment=wanted.environment,
        spec=spec,
        current=current,
        partial=True,
    )
    item = plan.items[0]
    if item.action is Action.BLOCKED:
        raise Conflict(f"`{item.key}`: {item.reason}.", code="blocked")
    if wanted.workflow and item.operation is Operation.CREATE:
        plan = replace(plan, items=(replace(item, workflow=wanted.workflow), *plan.items[1:]))
    ids = apply_plan(tx, application, plan, current, actor=actor, spec_version=None)
    now = current_state(
        tx,
        platform,
        application=application.name,
        application_id=application.id,
        environment=wanted.environment,
        spec=spec,
        locked=False,
    )
    resource = now[item.key].resource
    return Asked(resource.id, ids[0] if ids else resource.execution_id if resource.in_progress else None)


def plan_of_request(tx: Transaction, platform: Platform, wanted: ResourceWanted) -> Plan:
    """What `ask_for_resource` would do, reading only. Raises Invalid."""
    application = applications.find(tx, wanted.application, wanted.environment)
    spec = _as_spec(wanted)
    current = current_state(
        tx,
        platform,
        application=wanted.application,
        application_id=application.id if application else None,
        environment=wanted.environment,
        spec=spec,
        locked=False,
    )
    return plan_for(
        platform,
        application=wanted.application,
        environment=wanted.environment,
        spec=spec,
        current=current,
        partial=True,
    )


def _as_spec(wanted: ResourceWanted) -> Spec:
    if not LABEL.fullmatch(wanted.application):
        fix = "use 2 to 63 of a-z, 0-9 and `-`, not starting or ending with `-`"
        problem = Problem("app_name", "app_name", f"{wanted.application[:80]!r} cannot name an application", fix)
        raise Invalid("The resource cannot be asked for.", [problem])
    if not wanted.name or "\0" in wanted.name:
        problem = Problem("resource_name", "name", "a resource needs a name", "write a-z, 0-9 and `-`")
        raise Invalid("The resource cannot be asked for.", [problem])
    declaration = ResourceDeclaration(
        name=wanted.name,
        type=wanted.type,
        resource_class=wanted.resource_class,
        id=wanted.id,
        params=wanted.params,
    )
    return Spec(
        wanted.application,
        {"name": wanted.application},
        {},
        resources={wanted.name: declaration},
        reads=output_reads({"resources": {wanted.name: {"params": wanted.params}}}),
    )


def ask_for_deletion(tx: Transaction, platform: Platform, actor: Actor, wanted: ResourceWanted) -> Asked:
    """Delete one resource of an application. Raises NotFound, or Conflict when it is protected."""
    application = applications.find(tx, wanted.application, wanted.environment, lock=True)
    if application is None:
        raise NotFound("application", wanted.application)
    current = current_state(
        tx,
        platform,
        application=application.name,
        application_id=application.id,
        environment=wanted.environment,
        spec=_as_spec(wanted),
        locked=True,
    )
    only = _named(current, wanted)
    plan = plan_for(
        platform, application=application.name, environment=wanted.environment, spec=None, current=only, partial=True
    )
    check_plan(plan, plan_hash=None, confirm=False, deleting=True)
    ids = apply_plan(tx, application, plan, only, actor=actor, spec_version=None)
    resource = next(iter(only.values())).resource
    return Asked(resource.id, ids[0] if ids else None)


def _named(current: Mapping[ResourceKey, Current], wanted: ResourceWanted) -> dict[ResourceKey, Current]:
    """The one resource that the application calls by this name."""
    for key, found in current.items():
        if any(r.application == wanted.application and r.name == wanted.name for r in found.references):
            return {key: found}
    raise NotFound("resource", wanted.name, hint=f"`{wanted.application}` has no resource of that name.")
