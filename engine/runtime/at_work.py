"""The steps that one run has at work: one by one on its own thread, or side by side on threads of their own."""

import contextlib
import queue
from concurrent.futures import ThreadPoolExecutor

from engine.domain.runs import Execution
from engine.domain.workflow import Step
from engine.runtime.attempt import Outcome, Stopped, perform
from engine.runtime.bench import Bench
from engine.runtime.cancellation import Token
from engine.runtime.workshop import Attempt
from engine.steps import registry

_MOST_PARALLEL = 8


class AtWork:
    """Used by the one thread that carries the run."""

    def __init__(self, bench: Bench, execution: Execution, token: Token) -> None:
        self._bench = bench
        self._execution = execution
        self._token = token
        self._count = 0
        self._results: queue.SimpleQueue[tuple[Step, Attempt, Outcome]] = queue.SimpleQueue()
        self._pool: ThreadPoolExecutor | None = None

    def __bool__(self) -> bool:
        return self._count > 0

    def launch(self, step: Step, attempt: Attempt, *, inline: bool) -> None:
        """Perform the attempt: here and now with `inline`, else beside the others."""
        self._count += 1
        if inline:
            self._results.put((step, attempt, self._perform(attempt, aside=True)))
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_MOST_PARALLEL, thread_name_prefix=f"execution-{self._execution.id}")
        self._pool.submit(lambda: self._results.put((step, attempt, self._perform(attempt, aside=False))))

    def next(self) -> tuple[Step, Attempt, Outcome]:
        """The next that comes back; waits for it."""
        self._count -= 1
        with contextlib.suppress(queue.Empty):
            return self._results.get_nowait()
        with self._bench.aside():
            return self._results.get()

    def close(self) -> None:
        """Wait for whatever is still at work."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def _perform(self, attempt: Attempt, *, aside: bool) -> Outcome:
        """`aside` when it is the coordinating thread that performs a step which may take its time."""
        if self._token.cancelled:
            return Stopped(begun=False)
        if registry.is_instant(attempt.step.type):
            return perform(attempt, self._bench.workshop)
        with self._bench.aside() if aside else contextlib.nullcontext():
            return self._perform_with_log(attempt)

    def _perform_with_log(self, attempt: Attempt) -> Outcome:
        end = self._bench.live_logs(self._execution.id, self._execution.fence, attempt.log)
        try:
            return perform(attempt, self._bench.workshop)
        finally:
            end()
