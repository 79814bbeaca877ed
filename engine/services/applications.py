"""Read applications, and the specs they were submitted with."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from engine.domain.application import Application, SubmittedVersion
from engine.domain.resource import Resource, ResourceState, Standing
from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.domain.values import Actor, ApplicationId
from engine.errors import NotFound
from engine.services import paging, texts
from engine.services.applying import application_event
from engine.services.masking import all_shown, spec_text
from engine.services.platform import Page, Platform
from engine.store import applications, events, resources
from engine.store.again import transacted
from engine.store.database import Transaction


@dataclass(frozen=True, slots=True)
class ListedApplication:
    """An application as lists show it: `status` is one word for all of its resources."""

    application: Application
    version: int
    status: str
    resource_count: int


@dataclass(frozen=True, slots=True)
class ApplicationView:
    """An application as it stands, with its resources."""

    application: Application
    version: int
    status: str
    resources: tuple[Resource, ...]

    @property
    def resource_count(self) -> int:
        return len(self.resources)


def existing(tx: Transaction, name: str, environment: str, *, lock: bool = False) -> Application:
    if not texts.storable(name + environment):
        raise NotFound("application", ascii(name)[1:-1])
    found = applications.find(tx, name, environment, lock=lock)
    if found is None or (found.deleted_at is not None and not resources.of_application(tx, found.id)):
        raise unknown(tx, name, environment)
    return found


def unknown(tx: Transaction, name: str, environment: str) -> NotFound:
    """There is no such application; in which environments it is, or which names are near."""
    elsewhere = [
        other.environment
        for other in applications.listed(tx, search=name, limit=50)
        if other.name == name and other.environment != environment
    ]
    hint = f"It exists in: {', '.join(sorted(elsewhere))}." if elsewhere else ""
    missing = NotFound("application", name, known=applications.names(tx), hint=hint)
    missing.details["environments"] = sorted(elsewhere)
    return missing


def get(platform: Platform, name: str, *, environment: str = DEFAULT_ENVIRONMENT) -> ApplicationView:
    """Raises NotFound."""
    with platform.store.read() as tx:
        found = existing(tx, name, environment)
        owned = all_shown(platform, resources.of_application(tx, found.id))
        version = applications.spec_versions(tx, [found.id]).get(found.id, 0)
    return ApplicationView(found, version, status_of(found, {resource.standing for resource in owned}), owned)


def listed(
    platform: Platform, *, environment: str | None = None, search: str = "", cursor: str = "", limit: int = 50
) -> Page[ListedApplication]:
    """Applications that exist or are on their way out, by rising id. Raises Invalid for a cursor that is none."""
    start = paging.after(cursor)
    texts.checked(environment=environment, search=search)
    with platform.store.read() as tx:
        found = applications.listed(tx, environment=environment, search=search, after=start, limit=limit + 1)
        page = found[:limit]
        ids = [application.id for application in page]
        versions, standings = applications.spec_versions(tx, ids), resources.standings(tx, ids)
    views = (_listed(found, versions.get(found.id, 0), standings.get(found.id, Counter())) for found in page)
    return Page(tuple(views), str(page[-1].id) if len(found) > limit else "")


def _listed(found: Application, version: int, standings: Counter[Standing]) -> ListedApplication:
    return ListedApplication(found, version, status_of(found, standings), standings.total())


def status_of(application: Application, standings: Collection[Standing]) -> str:
    """`active`, `in_progress`, `failed`, `degraded`, `deleting` or `deleted`, by how its resources stand."""
    states = {standing.state for standing in standings if not standing.awaits_turn}
    if ResourceState.FAILED in states:
        return "failed"
    if application.deleted_at is not None:
        return "deleting" if standings else "deleted"
    if any(not standing.settled for standing in standings):
        return "in_progress"
    return "degraded" if ResourceState.DEGRADED in states else "active"


def names_of(platform: Platform, ids: Collection[ApplicationId]) -> dict[ApplicationId, tuple[str, str]]:
    """Name and environment of each, deleted ones included."""
    with platform.store.read() as tx:
        return applications.names_of(tx, ids)


def spec_of(platform: Platform, name: str, *, environment: str = DEFAULT_ENVIRONMENT) -> SubmittedVersion:
    """The newest submitted Score document. Raises NotFound."""
    with platform.store.read() as tx:
        found = existing(tx, name, environment)
        newest = applications.newest_spec(tx, found.id)
    if newest is None:
        raise NotFound("spec", name)
    return newest


def spec_shown(platform: Platform, name: str, *, environment: str = DEFAULT_ENVIRONMENT) -> str:
    """The newest document, with its secrets masked. Raises NotFound."""
    newest = spec_of(platform, name, environment=environment)
    with platform.store.read() as tx:
        made_by = {name: found.digest for name, found in resources.named(tx, newest.application_id).items()}
    return spec_text(platform, newest.source, made_by)


def spec_revealed(
    platform: Platform, actor: Actor, name: str, *, environment: str = DEFAULT_ENVIRONMENT
) -> SubmittedVersion:
    """The newest document as it was sent, secrets included; who read it stands in the timeline. Raises NotFound."""
    newest = spec_of(platform, name, environment=environment)

    def work(tx: Transaction) -> None:
        found = existing(tx, name, environment)
        events.record(tx, [application_event(found, "spec.revealed", actor, version=newest.version)])

    transacted(platform.store, work)
    return newest


def listed_environments(platform: Platform) -> list[tuple[str, int]]:
    """Environments with the number of their applications."""
    with platform.store.read() as tx:
        return applications.environments(tx)
