"""Doors that open beside a first client, once it has its first answers: opening them takes as long as answering."""

import threading
from collections.abc import Callable

_CLOSING_SECONDS = 10.0


class LateDoors:
    """`open_doors` is called in a thread, and what it answers closes them.

    They open `pause` seconds after `soon`, at the latest `latest` seconds from now: others must find this process.
    """

    def __init__(
        self, open_doors: Callable[[], Callable[[], None]], *, latest: float = 2.0, pause: float = 0.2
    ) -> None:
        self._open_doors = open_doors
        self._latest = latest
        self._pause = pause
        self._due = threading.Event()
        self._leaving = threading.Event()
        self._close: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._open, name="open-doors", daemon=True)
        self._thread.start()

    def soon(self) -> None:
        """The client is being answered: open when it has had a moment."""
        self._due.set()

    def close(self) -> None:
        """Close them, or never open them."""
        self._leaving.set()
        self._due.set()
        self._thread.join(_CLOSING_SECONDS)
        if self._close is not None:
            self._close()

    def _open(self) -> None:
        self._due.wait(self._latest)
        if not self._leaving.wait(self._pause):
            self._close = self._open_doors()
