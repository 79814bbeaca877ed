"""Where a resource comes from: who asked for it, what declares it, and why this provider makes it."""

from engine.domain import spec_reader
from engine.domain.application import Application
from engine.domain.resource import Resource
from engine.domain.spec import WORKLOAD
from engine.errors import quoted
from engine.services.platform import Platform
from engine.services.resources import ResourceDetails
from engine.services.views import moment
from engine.store import applications, events
from engine.store.database import Transaction


def declaring(tx: Transaction, application: Application, resource: Resource) -> int:
    """The version of the application's newest spec, if that declares the resource; else 0."""
    if application.deleted_at is not None:
        return 0
    newest = applications.newest_spec(tx, application.id)
    spec = spec_reader.read(newest.source).spec if newest else None
    if newest is None or spec is None:
        return 0
    return newest.version if resource.key.type == WORKLOAD or resource.name in spec.resources else 0


def why(platform: Platform, details: ResourceDetails) -> list[str]:
    """Sentences, most telling first."""
    resource = details.resource
    with platform.store.read() as tx:
        first = events.listed(tx, resource_id=resource.id, limit=1)
        application = applications.find(tx, resource.application, resource.key.environment)
        newest = applications.newest_spec(tx, application.id) if application else None
        version = declaring(tx, application, resource) if application else 0
    said: list[str] = []
    if newest is not None and version:
        who = newest.submitted_by
        said.append(
            f"version {version} of the spec of `{resource.application}` declares it, submitted by {who} "
            f"at {moment(newest.submitted_at)}"
        )
    else:
        said.append(f"no spec declares it: it was asked for beside the spec of `{resource.application}`")
    said += [f"first asked for by {fact.actor} at {moment(fact.at)}" for fact in first]
    others = [name for name in details.used_by if name != resource.application]
    if others:
        said.append(f"also used by {quoted(others)}, and kept until none of them refers to it")
    return [*said, _choice(platform, resource)]


def _choice(platform: Platform, resource: Resource) -> str:
    kind = resource.key.type
    owner = platform.providers.registry.resolve(kind)
    if owner is None:
        made = f"`{resource.provider}` made it; " if resource.provider else ""
        return f"{made}no active provider offers `{kind}` now"
    said = f"`{owner[0].name}` is the active provider of `{kind}`"
    if resource.workflow:
        said += f"; its workflow `{resource.workflow}` was run last"
    if resource.provider and resource.provider != owner[0].name:
        said += f"; it was made by `{resource.provider}`"
    return said
