"""What is made behind the first answers to a client, which need none of it: the platform, then doors for others."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from engine.errors import InnominatusError, Unavailable

T = TypeVar("T")

_CLOSING_SECONDS = 10.0


class Behind(Generic[T]):
    """`start` makes something in a thread, `open_doors` then opens it to others and answers how to close them.

    It begins `pause` seconds after `soon`, at once when someone asks whether it is `there`, and at the latest `latest`
    seconds from now. Where it cannot be made, `failed` is told.
    """

    def __init__(
        self,
        start: Callable[[], T],
        open_doors: Callable[[T], Callable[[], None]],
        *,
        failed: Callable[[InnominatusError], None],
        latest: float = 2.0,
        pause: float = 0.1,
    ) -> None:
        self._start = start
        self._open_doors = open_doors
        self._failed = failed
        self._latest = latest
        self._pause = pause
        self._due, self._hurry, self._made, self._leaving = (threading.Event() for _ in range(4))
        self._found: T | None = None
        self._error: InnominatusError | None = None
        self._close: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._make, name="behind", daemon=True)
        self._thread.start()

    def soon(self) -> None:
        """The client is being answered: begin when it has had a moment."""
        self._due.set()

    def there(self) -> T:
        """What was made, as soon as it is there. Raises what `start` raised."""
        self._due.set()
        self._hurry.set()
        self._made.wait()
        if self._found is None:
            raise self._error or Unavailable("The platform did not start; the log says why.", code="start_failed")
        return self._found

    def close(self) -> T | None:
        """Close the doors, and hand over what was made, for its end; what was not begun yet is tried nevertheless."""
        self._leaving.set()
        self._due.set()
        self._hurry.set()
        self._thread.join(_CLOSING_SECONDS)
        if self._close is not None:
            self._close()
        return self._found

    def _make(self) -> None:
        self._due.wait(self._latest)
        self._hurry.wait(self._pause)
        try:
            self._found = self._start()
        except InnominatusError as error:
            self._error = error
            self._failed(error)
            return
        finally:
            self._made.set()
        if not self._leaving.wait(self._pause):
            self._close = self._open_doors(self._found)
