"""The resolved environment of an application's containers, as its workload was given it."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.domain.placeholders import RESOURCES, PlaceholderError, resolver
from engine.domain.resource import Resource, ResourceState
from engine.domain.spec import DEFAULT_ENVIRONMENT, WORKLOAD
from engine.domain.values import Actor, Json, ResourceId
from engine.domain.workload import resolve_workload
from engine.errors import Conflict, NotFound
from engine.services.applications import existing
from engine.services.applying import application_event
from engine.services.platform import Platform
from engine.store import events, resources
from engine.store.again import transacted
from engine.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Variables:
    """Variables per container. `secret` names those that carry a secret of a resource."""

    containers: dict[str, dict[str, str]]
    secret: dict[str, frozenset[str]]


def of_application(platform: Platform, name: str, *, environment: str = DEFAULT_ENVIRONMENT) -> Variables:
    """Raises NotFound, and Conflict while a resource that a variable reads is not there yet, or when it failed."""
    with platform.store.read() as tx:
        found = existing(tx, name, environment)
        named = resources.named(tx, found.id)
        blockers = resources.by_ids(tx, {one.blocked_by for one in named.values() if one.blocked_by is not None})
    workload = named.get(WORKLOAD)
    if workload is None:
        raise NotFound("workload", name, hint="No provider deploys workloads, so nothing resolves its variables.")
    metadata = workload.params.get("metadata")
    outputs = {other: resource.outputs for other, resource in named.items() if other != WORKLOAD}
    try:
        resolve = resolver(metadata if isinstance(metadata, dict) else {}, outputs)
        resolved = resolve_workload(workload.params, resolve)
    except PlaceholderError as error:
        raise _unresolved(name, error, named, blockers) from None
    containers = _variables(resolved.get("containers"))
    secrets = {str(r.outputs[key]) for r in named.values() for key in r.secret_outputs & r.outputs.keys()}
    hidden = {
        container: frozenset(key for key, value in values.items() if any(text in value for text in secrets if text))
        for container, values in containers.items()
    }
    return Variables(containers, hidden)


def _unresolved(
    name: str, error: PlaceholderError, named: Mapping[str, Resource], blockers: Mapping[ResourceId, Resource]
) -> Conflict:
    """Whether waiting helps depends on the resource that a variable reads: what failed stays so until it is retried."""
    read = named.get(error.keys[1]) if error.keys[0] == RESOURCES and len(error.keys) > 1 else None
    cause = blockers.get(read.blocked_by) if read is not None and read.blocked_by is not None else read
    if cause is None or cause.state is not ResourceState.FAILED or cause.awaits_turn:
        return Conflict(
            f"The variables of `{name}` cannot be resolved yet: {error}",
            code="not_ready",
            hint="Wait until its resources are active.",
        )
    return Conflict(
        f"The variables of `{name}` cannot be resolved: resource `{cause.name}` has failed: {cause.error}",
        code="resource_failed",
        hint="Mend the cause and retry the resource.",
    )


def revealed(platform: Platform, actor: Actor, name: str, *, environment: str = DEFAULT_ENVIRONMENT) -> Variables:
    """The same, for showing secrets to a person: who did it stands in the timeline before they see anything."""
    found = of_application(platform, name, environment=environment)
    shown: list[Json] = [f"{container}.{key}" for container, keys in found.secret.items() for key in sorted(keys)]

    def work(tx: Transaction) -> None:
        application = existing(tx, name, environment)
        events.record(tx, [application_event(application, "variables.revealed", actor, variables=shown)])

    transacted(platform.store, work)
    return found


def _variables(containers: Json) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, container in containers.items() if isinstance(containers, dict) else ():
        variables = container.get("variables") if isinstance(container, dict) else None
        found[name] = {key: str(value) for key, value in variables.items()} if isinstance(variables, dict) else {}
    return found
