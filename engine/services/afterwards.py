"""Showing how something stands right after it was done."""

from collections.abc import Generator
from contextlib import contextmanager

from engine.errors import Unavailable
from engine.store.away import DatabaseAway


@contextmanager
def done(what: str) -> Generator[None]:
    """Around what only reads: a database that goes away now has not undone `what`, and that is to be known."""
    try:
        yield
    except DatabaseAway as error:
        raise Unavailable(
            f"{what}, but the database cannot be read now to show how it stands.",
            code="database_unavailable",
            hint="Do not send it again: look at the status in a moment.",
            details={"outcome": "done"},
        ) from error
