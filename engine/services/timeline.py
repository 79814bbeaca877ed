"""The timeline: what happened, in order."""

from engine.domain.event import Event
from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.errors import NotFound
from engine.services.platform import Page, Platform
from engine.store import applications, events


def listed(
    platform: Platform,
    *,
    application: str | None = None,
    environment: str = DEFAULT_ENVIRONMENT,
    after: int = 0,
    limit: int = 100,
) -> Page[Event]:
    """Events with an id above `after`, oldest first; those of one application also when it is deleted.

    Raises NotFound for an application that never was.
    """
    with platform.store.read() as tx:
        found = None if application is None else applications.find(tx, application, environment)
        if application is not None and found is None:
            raise NotFound("application", application, known=applications.names(tx))
        facts = events.listed(tx, application_id=None if found is None else found.id, after=after, limit=limit + 1)
    page = tuple(facts[:limit])
    return Page(page, str(page[-1].id) if len(facts) > limit else "")
