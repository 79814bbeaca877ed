"""Delete an application, everything that only it refers to in reverse order; or one resource beside its spec."""

from collections.abc import Mapping

from engine.domain.application import Application
from engine.domain.placeholders import resource_references
from engine.domain.plan import Plan
from engine.domain.planner import Current
from engine.domain.resource import Resource, ResourceKey, ResourceState
from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.domain.values import Actor, JsonObject, ResourceId
from engine.errors import Conflict, NotFound, quoted
from engine.services import origins
from engine.services.applications import existing
from engine.services.applying import application_event, apply_plan
from engine.services.planning import check_plan, current_state, plan_for
from engine.services.platform import Platform
from engine.services.submissions import Submission, carried_out
from engine.store import applications, dependencies, events, resources
from engine.store.database import Transaction


def delete(
    platform: Platform,
    actor: Actor,
    name: str,
    *,
    environment: str = DEFAULT_ENVIRONMENT,
    dry_run: bool = False,
    plan_hash: str | None = None,
    confirm: bool = False,
    idempotency_key: str | None = None,
) -> Submission:
    """Delete everything an application refers to, in reverse order; what others use or a provider retains stays.

    Raises NotFound, and Conflict when something is protected (then nothing is deleted).
    """
    if dry_run:
        with platform.store.read() as tx:
            found = existing(tx, name, environment)
            plan = _planned(tx, platform, found, locked=False)[0]
        check_plan(plan, plan_hash=plan_hash, confirm=False, deleting=True)
        return Submission(name, environment, plan.hash, applied=False, plan=plan)
    request: JsonObject = {"name": name, "environment": environment, "plan_hash": plan_hash}

    def work(tx: Transaction) -> Submission:
        return carry_out_deletion(tx, platform, actor, name, environment, plan_hash=plan_hash, confirm=confirm)

    return carried_out(platform, actor, "delete", idempotency_key, request=request, work=work)


def delete_resource(
    platform: Platform,
    actor: Actor,
    resource_id: ResourceId,
    *,
    dry_run: bool = False,
    plan_hash: str | None = None,
    confirm: bool = False,
    idempotency_key: str | None = None,
) -> Submission:
    """Delete one resource that was asked for beside a spec.

    Raises NotFound, and Conflict for what a spec declares, what others use, and what is protected.
    """
    if dry_run:
        with platform.store.read() as tx:
            found, plan, _ = _planned_alone(tx, platform, resource_id, locked=False)
        check_plan(plan, plan_hash=plan_hash, confirm=False, deleting=True)
        return Submission(found.name, found.environment, plan.hash, applied=False, plan=plan)

    def work(tx: Transaction) -> Submission:
        found, plan, current = _planned_alone(tx, platform, resource_id, locked=True)
        check_plan(plan, plan_hash=plan_hash, confirm=confirm, deleting=True)
        ids = apply_plan(tx, found, plan, current, actor=actor, spec_version=None)
        return Submission(found.name, found.environment, plan.hash, applied=True, plan=plan, execution_ids=tuple(ids))

    request: JsonObject = {"resource_id": resource_id, "plan_hash": plan_hash}
    return carried_out(platform, actor, "delete-resource", idempotency_key, request=request, work=work)


def _planned_alone(
    tx: Transaction, platform: Platform, resource_id: ResourceId, *, locked: bool
) -> tuple[Application, Plan, Mapping[ResourceKey, Current]]:
    resource = resources.get(tx, resource_id)
    if resource is None or resource.state is ResourceState.TERMINATED:
        raise NotFound("resource", resource_id)
    found = applications.find(tx, resource.application, resource.key.environment, lock=locked)
    if found is None:
        raise NotFound("application", resource.application)
    version = origins.declaring(tx, found, resource)
    if version:
        raise Conflict(
            f"`{resource.key}` is declared by the spec of `{found.name}` (version {version}).",
            code="declared_by_spec",
            hint="Leave it out of the spec and submit that with `prune`, or delete the application.",
        )
    users = _users(tx, resource)
    if users:
        named = quoted(str(user.key) for user in users[:5])
        raise Conflict(f"`{resource.key}` is still used by {named}.", code="still_used", hint="Delete these first.")
    return found, *_planned(tx, platform, found, locked=locked, only=resource.key)


def _users(tx: Transaction, resource: Resource) -> list[Resource]:
    """What depends on it, and what reads it by its name without an edge, as requests beside a spec do."""
    found = resources.by_ids(tx, {user for user, _ in dependencies.dependants(tx, [resource.id])})
    for other in resources.of_application(tx, resource.application_id):
        if other.id != resource.id and resource.name in resource_references(other.params):
            found[other.id] = other
    return [found[key] for key in sorted(found)]


def carry_out_deletion(
    tx: Transaction,
    platform: Platform,
    actor: Actor,
    name: str,
    environment: str,
    *,
    plan_hash: str | None,
    confirm: bool,
) -> Submission:
    """`delete` inside a transaction. It refuses before it has written anything."""
    found = existing(tx, name, environment, lock=True)
    plan, current = _planned(tx, platform, found, locked=True)
    check_plan(plan, plan_hash=plan_hash, confirm=confirm, deleting=True)
    ids = apply_plan(tx, found, plan, current, actor=actor, spec_version=None)
    applications.mark_deleted(tx, found.id)
    events.record(tx, [application_event(found, "application.deleted", actor, plan=plan.hash, summary=plan.summary)])
    return Submission(found.name, found.environment, plan.hash, applied=True, plan=plan, execution_ids=tuple(ids))


def _planned(
    tx: Transaction, platform: Platform, found: Application, *, locked: bool, only: ResourceKey | None = None
) -> tuple[Plan, Mapping[ResourceKey, Current]]:
    """The plan of deleting everything, or one resource."""
    current = current_state(
        tx,
        platform,
        application=found.name,
        application_id=found.id,
        environment=found.environment,
        spec=None,
        locked=locked,
    )
    if only is not None:
        current = {only: current[only]}
    plan = plan_for(
        platform,
        application=found.name,
        environment=found.environment,
        spec=None,
        current=current,
        partial=only is not None,
    )
    return plan, current
