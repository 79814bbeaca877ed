"""Applications with a time to live: when it is over they are deleted, by the same rules as when a person asks."""

from datetime import datetime, timedelta
from typing import Final

import structlog

from engine.domain.application import Application
from engine.domain.values import SYSTEM, ApplicationId
from engine.errors import Conflict
from engine.services.applying import application_event
from engine.services.deletions import carry_out_deletion
from engine.services.platform import Platform
from engine.store import applications, events
from engine.store.again import transacted
from engine.store.database import Transaction

logger = structlog.get_logger()
_REFUSED_PAUSE: Final = timedelta(hours=1)
_BUSY_PAUSE: Final = timedelta(minutes=1)


def expire_due(platform: Platform) -> int:
    """Delete the applications that came due, `sweep_batch` at most; returns how many. Several may do this at once."""
    with platform.store.read() as tx:
        due = applications.due(tx, limit=platform.settings.sweep_batch)
    expired = sum(transacted(platform.store, lambda tx, each=each: _expire(tx, platform, each)) for each in due)
    if expired:
        platform.signals.nudge()
    return expired


def _expire(tx: Transaction, platform: Platform, application_id: ApplicationId) -> bool:
    found = applications.get(tx, application_id, lock=True)
    expires_at = found.expires_at
    if expires_at is None or expires_at > tx.now or found.deleted_at is not None:
        return False  # renewed or deleted meanwhile
    try:
        carry_out_deletion(tx, platform, SYSTEM, found.name, found.environment, plan_hash=None, confirm=False)
    except Conflict as error:
        _put_off(tx, found, expires_at, error)
        return False
    told = application_event(found, "application.expired", SYSTEM, expires_at=_moment(expires_at))
    events.record(tx, [told])
    logger.info("application.expired", application=found.name, environment=found.environment)
    return True


def _put_off(tx: Transaction, found: Application, expires_at: datetime, error: Conflict) -> None:
    """What is protected stays, and is looked at again later; so does what is busy, sooner and without a word."""
    busy = error.code == "busy"
    again = tx.now + (_BUSY_PAUSE if busy else _REFUSED_PAUSE)
    applications.set_expiry(tx, found.id, again)
    if not busy:
        data = {"expires_at": _moment(expires_at), "again_at": _moment(again), "error": error.message}
        events.record(tx, [application_event(found, "application.expiry-refused", SYSTEM, **data)])


def _moment(value: datetime) -> str:
    return value.isoformat(timespec="milliseconds")
