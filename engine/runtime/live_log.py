"""The log of a step as it goes into the database: part of it while the step runs."""

import threading
from dataclasses import dataclass, field

from engine.steps.masking import Masker
from engine.steps.step_log import StepLog


@dataclass
class LiveLog:
    """A step's log with what is not stored yet. Its first half is stored while the step runs, the rest at its end.

    What became secret after it was printed is masked in all that is stored from then on.
    """

    log: StepLog
    position: int
    attempt: int
    masker: Masker
    live: bool = True
    """False when nothing of it may be stored before its end."""
    chunks: int = 0
    """How many are stored already, by the attempt before it waited."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: int = 0
    _unstored: dict[int, str] = field(default_factory=dict[int, str])

    def take(self, *, final: bool) -> tuple[tuple[int, str], ...]:
        """What is to be stored as (chunk number, text); given again until `stored` is told that it is."""
        with self._lock:
            if self.log.count == self._last and not self._unstored:
                return ()
            parts: list[str] = []
            for number, line in self.log.take(head=not final) if final or self.live else ():
                if number != self._last + 1:
                    parts.append(f"[{number - self._last - 1} lines left out]")
                parts.append(line)
                self._last = number
            if parts:
                self.chunks += 1
                self._unstored[self.chunks] = self.masker.mask("".join(f"{part}\n" for part in parts))
            return tuple(self._unstored.items())

    def stored(self, chunk: int) -> None:
        """That chunk is committed."""
        with self._lock:
            self._unstored.pop(chunk, None)
