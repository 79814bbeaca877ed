"""Read resources, retry them, set left-overs straight."""

from dataclasses import dataclass

from engine.domain.event import Event
from engine.domain.execution import FINAL
from engine.domain.reading import did_you_mean
from engine.domain.resource import Resource, ResourceState
from engine.domain.values import Actor, ExecutionId, Json, ResourceId
from engine.errors import Conflict, Invalid, NotFound
from engine.services import paging, texts
from engine.services.masking import all_shown, shown
from engine.services.platform import Page, Platform
from engine.services.retrying import restart
from engine.services.starting import begun
from engine.store import dependencies, events, executions, resources
from engine.store.again import transacted
from engine.store.database import Transaction
from engine.store.settling import settle_resolved

_RESOLUTIONS = {"active": ResourceState.ACTIVE, "gone": ResourceState.TERMINATED}


@dataclass(frozen=True, slots=True)
class ResourceDetails:
    """A resource, its newest transitions first, what it depends on, who depends on it, and who refers to it."""

    resource: Resource
    transitions: tuple[Event, ...] = ()
    depends_on: tuple[Resource, ...] = ()
    dependants: tuple[Resource, ...] = ()
    used_by: tuple[str, ...] = ()


def listed(
    platform: Platform,
    *,
    application: str | None = None,
    environment: str | None = None,
    resource_type: str | None = None,
    state: str | None = None,
    cursor: str = "",
    limit: int = 50,
) -> Page[Resource]:
    """Resources by rising id; terminated ones only when `state` asks for them."""
    wanted = _state(state)
    texts.checked(application=application, environment=environment, resource_type=resource_type)
    found_type = resource_type
    if resource_type is not None and (owner := platform.providers.registry.resolve(resource_type)):
        found_type = owner[1].name
    with platform.store.read() as tx:
        found = resources.listed(
            tx,
            application=application,
            environment=environment,
            resource_type=found_type,
            state=wanted,
            after=paging.after(cursor),
            limit=limit + 1,
        )
    page = all_shown(platform, found[:limit])
    return Page(page, str(page[-1].id) if len(found) > limit else "")


def _state(state: str | None) -> ResourceState | None:
    if state is None:
        return None
    try:
        return ResourceState(state)
    except ValueError:
        hint = did_you_mean(state, ResourceState, noun="Known")
        raise Invalid(f"There is no resource state `{state[:80]}`.", code="unknown_state", hint=hint) from None


def get(platform: Platform, resource_id: ResourceId) -> ResourceDetails:
    """Raises NotFound."""
    with platform.store.read() as tx:
        resource = resources.get(tx, resource_id)
        if resource is None:
            raise NotFound("resource", resource_id, hint="list_resources shows the ids.")
        past = events.listed(tx, resource_id=resource_id, limit=10, newest_first=True)
        above = resources.by_ids(tx, {b for _, b in dependencies.dependencies(tx, [resource_id])})
        below = resources.by_ids(tx, {a for a, _ in dependencies.dependants(tx, [resource_id])})
        used = resources.references(tx, [resource_id]).get(resource_id, [])
    return ResourceDetails(
        shown(platform, resource),
        tuple(past),
        tuple(above[key] for key in sorted(above)),
        tuple(below[key] for key in sorted(below)),
        tuple(sorted({reference.application for reference in used})),
    )


def find(platform: Platform, name: str, *, application: str | None = None) -> ResourceDetails:
    """A resource by number, by `type/id`, or by its name in an application's spec.

    Raises NotFound, and Conflict where the name stands for several.
    """
    if name.isascii() and name.isdecimal() and len(name) < 19:
        return get(platform, ResourceId(int(name)))
    with platform.store.read() as tx:
        known = resources.listed(tx, application=application, limit=10_000)
    names = {resource.id: (resource.name, str(resource.key), resource.key.id) for resource in known}
    matching = [resource for resource in known if name in names[resource.id]]
    if not matching:
        raise NotFound("resource", name, known=[one for called in names.values() for one in called])
    if len(matching) > 1:
        choices = ", ".join(f"{resource.id} ({resource.key})" for resource in matching[:10])
        raise Conflict(f"`{name}` names several resources.", code="ambiguous", hint=f"Use the number: {choices}.")
    return get(platform, matching[0].id)


def revealed(platform: Platform, actor: Actor, resource_id: ResourceId) -> ResourceDetails:
    """The same as `get`, for showing secrets to a person: who did it stands in the timeline. Raises NotFound."""
    details = get(platform, resource_id)
    shown: list[Json] = [*sorted(details.resource.secret_outputs)]
    fact = Event(
        "resource.revealed",
        str(actor),
        application_id=details.resource.application_id,
        resource_id=resource_id,
        data={"outputs": shown},
    )
    transacted(platform.store, lambda tx: events.record(tx, [fact]))
    return details


def retry(platform: Platform, actor: Actor, resource_id: ResourceId) -> ExecutionId:
    """Repeat the operation that failed; finished steps of its execution are kept. Raises Conflict unless it failed."""

    def work(tx: Transaction) -> ExecutionId:
        seen = resources.get(tx, resource_id)
        if seen is None:
            raise NotFound("resource", resource_id)
        # Executions are locked before their resources, here as everywhere.
        run = executions.get(tx, seen.execution_id, lock=True) if seen.execution_id else None
        resource = resources.lock(tx, [resource_id])[resource_id]
        if resource.state is not ResourceState.FAILED:
            raise Conflict(
                f"Resource `{resource.key}` is `{resource.state}`; only a failed resource can be retried.",
                code="not_failed",
            )
        if resource.execution_id != seen.execution_id or (run is not None and run.state not in FINAL):
            raise Conflict(f"An execution of `{resource.key}` is still under way.", code="in_progress")
        return restart(tx, resource, run, actor=actor)

    return begun(platform, work)


def resolve(platform: Platform, actor: Actor, resource_id: ResourceId, *, as_: str) -> Resource:
    """A person says what became of a failed resource: `active` or `gone`. Audited."""
    state = _RESOLUTIONS.get(as_)
    if state is None:
        raise Invalid(
            f"A resource cannot be resolved as `{as_}`.", code="unknown_resolution", hint="Use `active` or `gone`."
        )

    def work(tx: Transaction) -> Resource:
        resource = resources.get(tx, resource_id)
        if resource is None:
            raise NotFound("resource", resource_id)
        events.record(
            tx,
            [
                Event(
                    "resource.resolved",
                    str(actor),
                    application_id=resource.application_id,
                    resource_id=resource_id,
                    data={"as": as_, "before": resource.state.value, "error": resource.error},
                )
            ],
        )
        settle_resolved(tx, resource_id, state, choose=platform.providers.choose, actor=str(actor))
        after = resources.get(tx, resource_id)
        assert after is not None
        return after

    return shown(platform, begun(platform, work))
