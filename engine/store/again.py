"""Transactions that another one may get in the way of."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from engine.errors import Unavailable
from engine.store.database import DatabaseAway, Store, Transaction

T = TypeVar("T")

_TIMES = 5
_IN_THE_WAY = frozenset({"23505", "40P01", "40001"})
"""PostgreSQL: somebody else inserted the same row, a deadlock, a serialization failure."""


def transacted(store: Store, work: Callable[[Transaction], T]) -> T:
    """The answer of `work`, done in one transaction; done anew when another transaction got in its way.

    `work` may run several times; only its last run is kept. Raises Unavailable when others are in its way every time,
    or the database is away or full.
    """
    for _ in range(_TIMES):
        try:
            with store.begin() as tx:
                return work(tx)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _IN_THE_WAY:
                if not isinstance(error, DatabaseAway):
                    raise
                raise Unavailable(
                    "The database cannot take this now.",
                    code="database_unavailable",
                    hint="Nothing was changed. See that it can be reached and its disk has room, then send it again.",
                ) from error
    raise Unavailable("Others change the same things at this moment.", code="busy", hint="Send it again in a second.")
