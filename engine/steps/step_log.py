"""The log of one step attempt: bounded, and readable while the step runs."""

import threading
from collections import deque

from engine.steps.streams import clean


class StepLog:
    """Keeps the first and the last half of `max_bytes`, whole lines only; what is left out is counted. Thread safe."""

    def __init__(self, max_bytes: int) -> None:
        self._half = max_bytes // 2
        self._lock = threading.Lock()
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._head_bytes = 0
        self._tail_bytes = 0
        self._count = 0
        self._taken = 0

    def add(self, text: str) -> None:
        """Add a line (text of several lines is split). Terminal escapes, NULs and lone surrogates are removed."""
        for raw in text.splitlines() or [""]:
            line = clean(raw).encode("utf-8", "replace")[: self._half].decode("utf-8", "ignore")
            with self._lock:
                self._append(line, len(line.encode()) + 1)

    def _append(self, line: str, size: int) -> None:
        self._count += 1
        if not self._tail and self._head_bytes + size <= self._half:
            self._head.append(line)
            self._head_bytes += size
            return
        self._tail.append(line)
        self._tail_bytes += size
        while self._tail_bytes > self._half and len(self._tail) > 1:
            self._tail_bytes -= len(self._tail.popleft().encode()) + 1

    @property
    def count(self) -> int:
        """Lines added so far, kept or not."""
        return self._count

    def lines(self) -> list[tuple[int, str]]:
        """The kept lines with their numbers from 1; a gap in the numbers is what was left out."""
        with self._lock:
            first_of_tail = self._count - len(self._tail) + 1
            return [*enumerate(self._head, 1), *enumerate(self._tail, first_of_tail)]

    def take(self, *, head: bool = False) -> list[tuple[int, str]]:
        """The kept lines that are new since the last `take`; with `head` those of the first half, which stay kept."""
        if head:
            with self._lock:
                kept = [*enumerate(self._head[self._taken :], self._taken + 1)]
        else:
            kept = self.lines()
        new = [(number, line) for number, line in kept if number > self._taken]
        self._taken = max((number for number, _ in kept), default=self._taken)
        return new

    def text(self) -> str:
        """All of it as text; a line in the middle says how many are left out."""
        numbered = self.lines()
        parts: list[str] = []
        previous = 0
        for number, line in numbered:
            if number != previous + 1:
                parts.append(f"[{number - previous - 1} lines left out]")
            parts.append(line)
            previous = number
        return "".join(f"{part}\n" for part in parts)
