"""Transactions that another one may get in the way of."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import IntegrityError

from engine.errors import Unavailable
from engine.store.away import BUSY, BUSY_HINT, DatabaseBusy, sqlstate
from engine.store.database import Store, Transaction

T = TypeVar("T")

_TIMES = 5
_SAME_ROW = "23505"
"""PostgreSQL: somebody else inserted the same row."""


def transacted(store: Store, work: Callable[[Transaction], T]) -> T:
    """The answer of `work`, done in one transaction; done anew when another transaction got in its way.

    `work` may run several times; only its last run is kept. Raises Unavailable when others are in its way every time,
    or the database is away or full.
    """
    for _ in range(_TIMES):
        try:
            with store.begin() as tx:
                return work(tx)
        except DatabaseBusy:
            continue
        except IntegrityError as error:
            if sqlstate(error) != _SAME_ROW:
                raise
    raise Unavailable(BUSY, code="busy", hint=BUSY_HINT)
