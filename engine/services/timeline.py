"""The timeline: what happened, in order."""

from engine.domain.event import BEGINNING, EVERYTHING, Event, Position, Wanted
from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.errors import Invalid
from engine.services.applications import unknown
from engine.services.platform import Page, Platform
from engine.store import applications, events
from engine.store.events import Read

_MOST_KINDS = 50


def listed(
    platform: Platform,
    *,
    application: str | None = None,
    environment: str = DEFAULT_ENVIRONMENT,
    kinds: tuple[str, ...] = (),
    after: str = "",
    limit: int = 100,
) -> Page[Event]:
    """Events behind `after` (a position, or the id of an event), oldest first, as far as their order is final.

    Those of one application also when it is deleted. Raises NotFound for an application that never was, and Invalid.
    """
    wanted = wanted_of(platform, application=application, environment=environment, kinds=kinds)
    found = read(platform, position(platform, after), wanted=wanted, limit=limit)
    return Page(found.events, str(found.reached) if found.more else "")


def newest(
    platform: Platform,
    *,
    application: str | None = None,
    environment: str = DEFAULT_ENVIRONMENT,
    kinds: tuple[str, ...] = (),
    limit: int = 20,
) -> list[Event]:
    """The last events, oldest first: to be shown."""
    wanted = wanted_of(platform, application=application, environment=environment, kinds=kinds)
    with platform.store.read() as tx:
        return events.listed(tx, wanted=wanted, limit=limit, newest_first=True)[::-1]


def read(platform: Platform, after: Position, *, wanted: Wanted = EVERYTHING, limit: int = 500) -> Read:
    """The next events behind `after`."""
    with platform.store.read() as tx:
        return events.read(tx, after, wanted=wanted, limit=limit)


def end(platform: Platform) -> Position:
    """Where the timeline ends now."""
    with platform.store.read() as tx:
        return events.newest(tx)


def position(platform: Platform, text: str) -> Position:
    """The position that a text names: one that was given out, or the id of an event. Raises Invalid."""
    if not text:
        return BEGINNING
    found = Position.parse(text)
    if found is None and not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise Invalid(
            "That is not a position in the timeline.",
            code="invalid_position",
            hint="Pass the `position` of an event, or the id of the last one that was received.",
        )
    with platform.store.read() as tx:
        return events.position_of(tx, int(text)) if found is None else events.known(tx, found)


def wanted_of(
    platform: Platform,
    *,
    application: str | None = None,
    environment: str = DEFAULT_ENVIRONMENT,
    kinds: tuple[str, ...] = (),
) -> Wanted:
    """Raises NotFound for an application that never was, and Invalid for too many kinds."""
    if len(kinds) > _MOST_KINDS:
        raise Invalid(f"More than {_MOST_KINDS} kinds of events are named.", code="too_many_kinds", hint="Name less.")
    if application is None:
        return Wanted(kinds=kinds)
    with platform.store.read() as tx:
        found = applications.find(tx, application, environment)
        if found is None:
            raise unknown(tx, application, environment)
    return Wanted(found.id, kinds)
