"""Which run of this process goes on next, and who writes the records that the runs wait for.

A run holds a thread only while it computes or waits for the world. While it waits for its record to be durable it is
parked, and the thread carries another one on: a process with hundreds of runs in flight keeps two or three threads
busy, and a record costs no change of threads.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from engine.runtime.claimer import Claimer, Held
from engine.runtime.signals import Sender
from engine.store.journal import Answer, Journal
from engine.store.records import Record

_LOOK_SECONDS = 0.01
Carrying = Generator[Record, bool, None]
"""A run as it is carried on: it hands out a record, and is sent whether its fence still held."""


class Turns:
    """Thread safe. `work` is called by any number of worker threads at once."""

    def __init__(
        self,
        journal: Journal[Held],
        claimer: Claimer,
        *,
        begin: Callable[[Held], Carrying],
        wake: Callable[[], None],
        others: Sender | None = None,
    ) -> None:
        self._journal = journal
        self._claimer = claimer
        self._begin = begin
        self._wake = wake
        self._others = others
        self._ready: deque[tuple[Carrying, Answer | None]] = deque()
        self._condition = threading.Condition()
        self._awake = 0
        self._lingering = 0
        self._called = False
        self._closed = False

    def work(self) -> None:
        """Carry runs on until there is nothing to do for one more thread, and another one stands by already."""
        with self._condition:
            self._awake += 1
        try:
            while self._once() or self._stand_by():
                pass
        finally:
            with self._condition:
                self._awake -= 1

    def carry_alone(self, run: Carrying) -> None:
        """Carry one run to its rest on the calling thread, which is none of those that `work` and find what is next."""
        answers: SimpleQueue[Answer] = SimpleQueue()
        with self._condition:
            self._awake += 1
        try:
            record = next(run)
            while True:
                self._journal.put(record, answers.put)
                answer = self._answer(answers)
                record = run.throw(answer) if isinstance(answer, Exception) else run.send(answer)
        except StopIteration:
            pass
        finally:
            with self._condition:
                self._awake -= 1
            if self._claimer.hopeful:
                self.rouse()

    def _answer(self, answers: "SimpleQueue[Answer]") -> Answer:
        """What becomes of the record that was put last. Whoever writes it, those written with it are gone on with."""
        while True:
            flushed = False
            while self._journal.flush():
                flushed = True
            if flushed and self._left():
                self.rouse()
            try:
                return answers.get(timeout=_LOOK_SECONDS)
            except Empty:
                continue

    def _once(self) -> bool:
        """Write when at least as much waits for it as can be carried on, so that both go on side by side."""
        if self._journal.waiting >= max(1, len(self._ready)) and not self._journal.writing:
            with self.aside(writes=True):
                if self._journal.flush():
                    return True
        try:
            turn = self._ready.popleft()
        except IndexError:
            held = self._claimer.next()
            if held is None:
                if self._others is not None and self._claimer.overflows:
                    self._others.pass_on()
                return False
            turn = self._begin(held), None
        self._carry(*turn)
        return True

    def _carry(self, run: Carrying, answer: Answer | None) -> None:
        try:
            if isinstance(answer, Exception):
                record = run.throw(answer)
            else:
                record = next(run) if answer is None else run.send(answer)
        except StopIteration:
            return
        self._journal.put(record, lambda told: self._answered(run, told))

    def _answered(self, run: Carrying, answer: Answer) -> None:
        self._ready.append((run, answer))
        if self._lingering:
            with self._condition:
                self._condition.notify()

    def _stand_by(self) -> bool:
        """One thread waits here for whatever comes: calling one out of the pool takes longer than most turns."""
        with self._condition:
            if self._lingering or self._closed:
                return False
            self._lingering += 1
            self._awake -= 1
            try:
                self._condition.wait_for(lambda: self._left() or self._called or self._closed)
                self._called = False
                return not self._closed
            finally:
                self._awake += 1
                self._lingering -= 1

    def _left(self) -> bool:
        """Whether there is something to do for a thread."""
        return bool(self._ready) or (self._journal.waiting > 0 and not self._journal.writing)

    @contextmanager
    def aside(self, *, writes: bool = False) -> Generator[None]:
        """The calling thread is about to wait for the world: another one sees to what is left meanwhile.

        With `writes` it is what waits to be written that the thread sees to itself.
        """
        with self._condition:
            self._awake -= 1
            alone = self._awake <= 0
        if alone and (self._claimer.hopeful or (bool(self._ready) if writes else self._left())):
            self.rouse()
        try:
            yield
        finally:
            with self._condition:
                self._awake += 1

    def rouse(self) -> None:
        """There may be something to do for one more thread."""
        with self._condition:
            self._called = True
            if self._lingering:
                self._condition.notify()
                return
        self._wake()

    def close(self) -> None:
        """Nobody stands by any more; what is being carried on goes on."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
