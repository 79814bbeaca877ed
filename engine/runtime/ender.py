"""Ends what is cancelled and not at work, on a thread of its own: a cancellation waits for nobody's step."""

import threading
from collections.abc import Callable

import structlog

from engine.runtime.claimer import Claimer, Held
from engine.store.away import in_short

logger = structlog.get_logger()


class Ender:
    """One per engine. `wake` says that there may be something to end; the others may take it up before."""

    def __init__(self, claimer: Claimer, carry: Callable[[Held], None]) -> None:
        """`carry` carries a claim to its rest on the calling thread."""
        self._claimer = claimer
        self._carry = carry
        self._wanted = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._loop, name="ender", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wanted.set()

    def stop(self, *, timeout: float = 5.0) -> None:
        """Claim nothing more; what is being ended has `timeout` seconds for that."""
        self._stopped = True
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _loop(self) -> None:
        while self._wanted.wait() and not self._stopped:
            self._wanted.clear()
            try:
                while taken := self._claimer.next_to_end():
                    for held in taken:
                        self._carry(held)
            except Exception as error:  # noqa: BLE001 - the next sweep wakes it again
                logger.warning("ender.failed", error=in_short(error))
