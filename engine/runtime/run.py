"""Carries one claimed execution from where it is to its next rest: its end, a wait, or the loss of its lease."""

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import structlog

from engine.domain import expressions
from engine.domain.execution import Advance, ExecutionState, StepState, WaitKind, advance
from engine.domain.runs import Claim, Execution, Outputs
from engine.domain.values import ExecutionId
from engine.domain.workflow import Step, When, Workflow
from engine.errors import InnominatusError, Internal, Invalid
from engine.providers.active import ActiveProviders
from engine.runtime import waits
from engine.runtime.attempt import Attempt, Failed, Outcome, Stopped, Succeeded, Suspended, Workshop, add_masks, perform
from engine.runtime.cancellation import StopReason, Token
from engine.runtime.claimer import Held
from engine.runtime.context import LiveLog
from engine.runtime.ending import run_end, workflow_outputs
from engine.runtime.inputs import Subject, bound, subject_of
from engine.runtime.ledger import Abandoned, Ledger
from engine.runtime.progress import Progress
from engine.runtime.requests import Requests
from engine.runtime.rests import Rests
from engine.steps.base import Person, Resumed, Suspend
from engine.steps.masking import Masker
from engine.steps.step_log import StepLog
from engine.store import executions, leavings, steps
from engine.store.database import Store
from engine.store.journal import Journal
from engine.store.records import (
    ExecutionEnded,
    ExecutionWaits,
    InputsResolved,
    StepFinished,
    StepResumed,
    StepSkipped,
    StepStarted,
)

logger = structlog.get_logger()
_MOST_PARALLEL = 8


@dataclass(frozen=True, slots=True)
class Bench:
    """What every run of a process works with."""

    store: Store
    journal: Journal[Held]
    providers: ActiveProviders
    requests: Requests
    workshop: Workshop
    live_logs: Callable[[ExecutionId, int, LiveLog], Callable[[], None]]
    """Registers a step's log to be stored while it runs; returns how to end that."""


class Run:
    """One claimed execution. Only the thread that calls `go` writes; parallel steps run on threads of their own."""

    def __init__(self, bench: Bench, claim: Claim, token: Token) -> None:
        self._bench = bench
        self._claim = claim
        self._execution = claim.execution
        self._token = token
        self._masker = Masker()
        self._at_work = 0
        self._results: queue.SimpleQueue[tuple[Step, Attempt, Outcome]] = queue.SimpleQueue()
        self._pool: ThreadPoolExecutor | None = None
        self._subject = Subject()
        self._progress = Progress(claim.execution, Workflow(claim.execution.workflow, ()))
        self._ledger = Ledger(bench.journal, claim.execution, token)
        self._rests = Rests(self._progress, self._ledger, bench.requests, self._masker)
        self._woken: dict[str, Resumed] = {}
        self._unclear: dict[str, str] = {}

    def go(self) -> bool:
        """True when the execution fell asleep, false when it ended. Raises Abandoned when it is no longer ours."""
        try:
            self._prepare()
            if self._execution.cancel_requested:
                self._end(ExecutionState.CANCELLED, reason="cancelled")
                return False
            return self._work()
        except Invalid as error:
            told = "; ".join(str(problem) for problem in error.problems) or error.message
            self._fail_whole(told)
        except InnominatusError as error:
            if isinstance(error, Internal):
                raise
            self._fail_whole(f"{error.message} {error.hint}".strip())
        finally:
            if self._pool is not None:
                self._pool.shutdown(wait=True)
        return False

    # --- what is on record ---

    def _prepare(self) -> None:
        execution = self._execution
        workflow = self._bench.providers.workflow(execution.digest, execution.workflow)
        progress = Progress(execution, workflow, execution.inputs)
        self._progress = progress
        self._rests = Rests(progress, self._ledger, self._bench.requests, self._masker)
        if execution.resource_id is not None:
            self._subject = subject_of(self._bench.store, execution, self._bench.providers.provider(execution.digest))
            for value in self._subject.masks:
                self._masker.add(value)
        if execution.sequence == 0:
            progress.inputs = bound(execution, workflow, self._subject)
            self._ledger.add(InputsResolved(progress.inputs, len(workflow.steps)))
        else:
            self._restore(progress)
        for value in progress.secret_values():
            add_masks(self._masker, value)

    def _restore(self, progress: Progress) -> None:
        with self._bench.store.read() as tx:
            runs = steps.of_execution(tx, self._execution.id)
            over = {run.name: waits.ended(tx, run) for run in runs if run.state is StepState.WAITING}
        self._woken = {name: resumed for name, resumed in over.items() if resumed is not None}
        for run in progress.restore(runs):
            self._rests.interrupted(run)

    # --- the work ---

    def _work(self) -> bool:
        self._resume_woken()
        while True:
            self._heed_token()
            step_on = self._advance()
            if step_on.finished is not None:
                self._finish(step_on.finished)
                return False
            if not step_on.start and not self._at_work:
                self._ledger.write(ExecutionWaits())
                return True
            inline = len(step_on.start) == 1 and not self._at_work
            prepared = [self._start(step) for step in step_on.start]
            if self._ledger.pending:
                self._ledger.write()
            for step, attempt in prepared:
                if attempt is not None:
                    self._launch(step, attempt, inline=inline)
            if self._at_work:
                self._take_in(*self._results.get())

    def _heed_token(self) -> None:
        """When the process is about to stop, take in what is at work and begin nothing; leave when the token is set."""
        if self._token.draining.is_set():
            while self._at_work:
                self._take_in(*self._results.get())
            self._token.set(StopReason.STOPPING)
        if self._token.cancelled and not self._at_work:
            self._rest()

    def _advance(self) -> Advance:
        progress = self._progress
        scope = progress.scope
        unclear: dict[str, str] = {}

        def holds(step: Step) -> bool:
            try:
                return expressions.condition(step.condition or "true", scope)
            except Invalid as error:
                unclear[step.name] = "; ".join(str(problem) for problem in error.problems) or error.message
                return True

        step_on = advance(progress.workflow, progress.states, holds=holds)
        for step, state in step_on.skip:
            reason = "a step it needs failed" if state is StepState.UPSTREAM_FAILED else "its condition does not hold"
            self._ledger.add(
                StepSkipped(
                    progress.position(step),
                    step.name,
                    step.type,
                    progress.next_attempt(step.name),
                    self._execution.attempt,
                    state,
                    reason,
                )
            )
            progress.finish(step.name, state)
        self._unclear = unclear
        return step_on

    def _start(self, step: Step) -> tuple[Step, Attempt | None]:
        """Put the start of a step on the record to be written; None when it waits for a person first."""
        progress = self._progress
        number = progress.next_attempt(step.name)
        position = progress.position(step)
        progress.states[step.name] = StepState.RUNNING
        self._ledger.add(StepStarted(position, step.name, step.type, number, self._execution.attempt))
        if step.name in self._unclear:
            self._rests.fail(step, position, number, Failed(self._unclear[step.name], reason="invalid", final=True))
            return step, None
        if step.when is When.MANUAL:
            self._rests.wait(step, position, number, Suspend(Person("waits for a person to continue it")))
            return step, None
        return step, self._attempt(step, position, number)

    def _attempt(self, step: Step, position: int, number: int, resumed: Resumed | None = None) -> Attempt:
        execution = self._execution
        log = LiveLog(StepLog(self._bench.workshop.log_bytes), self._bench.workshop.log_bytes // 2, position, number)
        return Attempt(
            execution=execution,
            step=step,
            position=position,
            number=number,
            scope=self._progress.scope,
            inputs=self._progress.inputs.values,
            token=self._token,
            masker=self._masker,
            bundle=lambda: self._bundle(execution),
            log=log,
            artifacts=self._artifacts(position),
            resumed=resumed,
        )

    def _bundle(self, execution: Execution) -> Path:
        return self._bench.providers.folder(execution.digest)

    def _artifacts(self, position: int) -> tuple[bytes, ...]:
        """What earlier steps left for later ones; nothing is read when no step declares any."""
        if not any(step.artifacts for step in self._progress.workflow.steps):
            return ()
        with self._bench.store.read() as tx:
            found = leavings.artifacts_of(tx, self._execution.id)
        return tuple(content for place, content in sorted(found.items()) if place != position)

    def _launch(self, step: Step, attempt: Attempt, *, inline: bool) -> None:
        self._at_work += 1
        if inline:
            self._results.put((step, attempt, self._perform(attempt)))
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_MOST_PARALLEL, thread_name_prefix=f"execution-{self._execution.id}")
        self._pool.submit(lambda: self._results.put((step, attempt, self._perform(attempt))))

    def _perform(self, attempt: Attempt) -> Outcome:
        end = self._bench.live_logs(self._execution.id, self._execution.fence, attempt.log)
        try:
            return perform(attempt, self._bench.workshop)
        finally:
            end()

    def _take_in(self, step: Step, attempt: Attempt, outcome: Outcome) -> None:
        self._at_work -= 1
        if self._token.cancelled:
            self._stop(step, attempt, outcome)
            return
        log = attempt.log.take(final=True)
        match outcome:
            case Succeeded(outputs, artifacts):
                self._ledger.add(
                    StepFinished(
                        attempt.position, attempt.number, StepState.SUCCEEDED, outputs, artifacts=artifacts, log=log
                    )
                )
                self._progress.finish(step.name, StepState.SUCCEEDED, outputs)
            case Suspended(wait):
                self._rests.wait(step, attempt.position, attempt.number, wait, log=log)
            case Failed():
                self._rests.fail(step, attempt.position, attempt.number, outcome, log=log)
            case Stopped():
                raise Abandoned

    def _stop(self, step: Step, attempt: Attempt, outcome: Outcome) -> None:
        """The token is set: a cancelled execution is recorded once all its steps are back, others stay as they are."""
        if self._token.reason is StopReason.STOPPING and isinstance(outcome, Succeeded):
            self._ledger.add(
                StepFinished(
                    attempt.position,
                    attempt.number,
                    StepState.SUCCEEDED,
                    outcome.outputs,
                    artifacts=outcome.artifacts,
                    log=attempt.log.take(final=True),
                )
            )
        elif self._token.reason is StopReason.CANCELLED:
            self._ledger.add(
                StepFinished(
                    attempt.position,
                    attempt.number,
                    StepState.CANCELLED,
                    reason="cancelled",
                    log=attempt.log.take(final=True),
                )
            )
            self._progress.finish(step.name, StepState.CANCELLED)
        if self._at_work:
            self._take_in(*self._results.get())
            return
        self._rest()

    def _rest(self) -> NoReturn:
        """Nothing is at work any more and the token is set: record what may be recorded and leave."""
        if self._token.reason is StopReason.CANCELLED:
            self._end(ExecutionState.CANCELLED, reason="cancelled")
        elif self._ledger.pending and self._token.reason is StopReason.STOPPING:
            self._ledger.write()
        raise Abandoned

    # --- resuming ---

    def _resume_woken(self) -> None:
        """Go on with the steps whose wait is over."""
        launches: list[tuple[Step, Attempt]] = []
        for name, resumed in self._woken.items():
            run = self._progress.waiting.pop(name)
            step = self._progress.workflow.step(name)
            self._progress.states[name] = StepState.RUNNING
            self._ledger.add(StepResumed(run.position, run.attempt))
            fresh = run.reason == waits.RETRY or step.when is When.MANUAL
            attempt = self._attempt(step, run.position, run.attempt, None if fresh else resumed)
            launches.append((step, attempt))
        if not launches:
            return
        self._ledger.write()
        for step, attempt in launches:
            self._launch(step, attempt, inline=len(launches) == 1)
        self._take_in(*self._results.get())

    # --- the end ---

    def _finish(self, state: ExecutionState) -> None:
        progress = self._progress
        if state is not ExecutionState.SUCCEEDED:
            failed = next(iter(progress.errors.items()), ("", ""))
            interrupted = any(
                isinstance(change, StepFinished) and change.reason == "interrupted" for change in self._ledger.pending
            )
            error = f"step `{failed[0]}`: {failed[1]}" if failed[0] else ""
            self._end(state, error=error, reason="interrupted" if interrupted else "step_failed")
            return
        try:
            outputs = workflow_outputs(progress.workflow, progress)
        except Invalid as error:
            told = "; ".join(str(problem) for problem in error.problems) or error.message
            self._end(ExecutionState.FAILED, error=f"outputs: {told}", reason="invalid")
            return
        self._end(state, outputs=outputs)

    def _fail_whole(self, error: str) -> None:
        self._end(ExecutionState.FAILED, error=self._masker.mask(error), reason="invalid")

    def _end(self, state: ExecutionState, *, outputs: Outputs | None = None, error: str = "", reason: str = "") -> None:
        self._cancel_waiting(state)
        outputs = outputs or Outputs()
        end = run_end(self._execution, self._subject, self._bench.providers, state=state, outputs=outputs, error=error)
        self._ledger.write(ExecutionEnded(state, outputs, error, reason, resource=end))
        logger.info(
            "execution.ended",
            state=state.value,
            execution=self._execution.id,
            workflow=self._execution.workflow,
            application=self._execution.application or None,
            error=error or None,
        )
        self._bench.workshop.workspaces.close(self._execution.id)

    def _cancel_waiting(self, state: ExecutionState) -> None:
        if state is ExecutionState.SUCCEEDED:
            return
        for run in self._progress.waiting.values():
            if run.wait_kind is WaitKind.EXECUTION and run.wait_ref is not None:
                with self._bench.store.begin() as tx:
                    executions.request_cancel(tx, ExecutionId(run.wait_ref))
            self._ledger.add(StepFinished(run.position, run.attempt, StepState.CANCELLED, reason="cancelled"))
        self._progress.waiting.clear()
