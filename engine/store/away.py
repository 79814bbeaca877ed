"""A database that is away, busy or full, in our words: what happened, what was changed, what to do."""

from enum import Enum
from types import TracebackType
from typing import Final, Self

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoneFree

from engine.errors import Unavailable


class Moment(Enum):
    """What was going on when the database failed."""

    READING = (
        "The database cannot be read now.",
        "See that it can be reached, then ask again.",
    )
    WRITING = (
        "The database cannot take this now.",
        "Nothing was changed. See that it can be reached and its disk has room, then send it again.",
    )
    COMMITTING = (
        "It is not known whether this was done: the database was asked to keep it, and did not answer.",
        "Send it again with the same idempotency key, or look at the status first when it had none.",
    )


_OUTCOMES: Final = {Moment.WRITING: "nothing_changed", Moment.COMMITTING: "unknown"}


class DatabaseAway(Unavailable):
    """Not the fault of the data, and it may pass. `driver` is what the driver raised; it may name the address."""

    def __init__(
        self, driver: Exception, moment: Moment = Moment.WRITING, *, code: str = "database_unavailable"
    ) -> None:
        message, hint = moment.value
        outcome = _OUTCOMES.get(moment)
        super().__init__(message, code=code, hint=hint, details={"outcome": outcome} if outcome else {})
        self.driver = driver


BUSY: Final = "Others change the same things at this moment."
BUSY_HINT: Final = "Nothing was changed. Send it again in a second."


class DatabaseBusy(DatabaseAway):
    """Other transactions were in the way of this one, which has changed nothing: done anew it may succeed."""

    def __init__(self, driver: Exception) -> None:
        super().__init__(driver, code="busy")
        self.message, self.hint = BUSY, BUSY_HINT


DatabaseFailure = (DatabaseAway, DBAPIError)
"""Whatever a transaction may fail with: an outage, a broken connection, a refused row."""


class InOurWords:
    """What fails in the block because the database is away raises DatabaseAway; `moment` says how far it had come."""

    __slots__ = ("moment",)

    def __init__(self, moment: Moment) -> None:
        self.moment = moment

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if isinstance(error, DBAPIError | NoneFree) and (told := _told(error, self.moment)) is not None:
            raise told from error


_IN_THE_WAY: Final = frozenset({"40P01", "40001"})
"""A deadlock, a serialization failure."""
_TOO_MUCH: Final = "54"
"""The class of program limits: they would be exceeded again and again."""
_CUT_OFF: Final = ("08", "57", "40003")
"""Connection failures, interventions, an outcome that the server itself does not know."""
_REFUSALS: Final = ("SQLITE_BUSY", "SQLITE_FULL", "SQLITE_READONLY")


def _told(error: DBAPIError | NoneFree, moment: Moment) -> DatabaseAway | None:
    """None for what is the fault of the data or of the statement."""
    if isinstance(error, NoneFree):  # no connection became free in time, so nothing has begun
        return DatabaseAway(error, Moment.READING if moment is Moment.READING else Moment.WRITING)
    driver = error.orig if isinstance(error.orig, Exception) else error
    state = sqlstate(error)
    if state in _IN_THE_WAY:
        return DatabaseBusy(driver)
    passing = isinstance(error, OperationalError) or error.connection_invalidated
    if not passing or state.startswith(_TOO_MUCH):
        return None
    refused = moment is Moment.COMMITTING and _has_refused(driver, state)
    return DatabaseAway(driver, Moment.WRITING if refused else moment)


def _has_refused(driver: Exception, state: str) -> bool:
    """Whether the database itself has answered the commit, with a no."""
    if state:
        return not state.startswith(_CUT_OFF)
    return str(getattr(driver, "sqlite_errorname", "")).startswith(_REFUSALS)


def sqlstate(error: DBAPIError) -> str:
    """PostgreSQL's code of the error; empty on SQLite, and where the server did not answer."""
    return str(getattr(error.orig, "sqlstate", "") or "")


_FULL: Final = ("is full", "No space left")


def away_because(error: DatabaseAway) -> str:
    """In words for everybody: they name no address, no user and no value."""
    full = any(sign in str(error.driver) for sign in _FULL)
    return "the database's disk is full" if full else "the database does not take what is written"


def in_short(error: BaseException) -> str:
    """One line for the log; of a database that is away, what the driver said."""
    said = error.driver if isinstance(error, DatabaseAway) else error
    return next(iter(str(said).splitlines()), "") or repr(said)
