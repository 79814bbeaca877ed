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
from engine.domain.provider import Operation
from engine.domain.resource import Outcome as ResourceOutcome
from engine.domain.resource import RunEnd
from engine.domain.runs import Claim, Execution, Outputs, StepRun
from engine.domain.values import ExecutionId, Json
from engine.domain.workflow import Step, When, Workflow
from engine.errors import InnominatusError, Internal, Invalid, NotFound
from engine.providers.active import ActiveProviders
from engine.runtime import waits
from engine.runtime.attempt import Attempt, Failed, Outcome, Stopped, Succeeded, Suspended, Workshop, add_masks, perform
from engine.runtime.cancellation import StopReason, Token
from engine.runtime.claimer import Held
from engine.runtime.context import LiveLog
from engine.runtime.inputs import Subject, bound, subject_of
from engine.runtime.progress import Progress
from engine.runtime.requests import Requests
from engine.steps import registry
from engine.steps.base import ChildExecution, Person, RequestedResource, Resumed, SubmittedSpec, Suspend, Timer
from engine.steps.masking import Masker
from engine.steps.step_log import StepLog
from engine.store import executions
from engine.store.database import Store
from engine.store.journal import Journal
from engine.store.records import (
    Change,
    ExecutionEnded,
    ExecutionWaits,
    InputsResolved,
    Record,
    StepFinished,
    StepResumed,
    StepSkipped,
    StepStarted,
    StepWaits,
)

logger = structlog.get_logger()
_MOST_PARALLEL = 8
_POLL_SECONDS = 5.0
"""How often a wait for a whole application is looked at when nobody woke it."""


class Abandoned(Exception):
    """The execution is no longer ours, or the process stops: nothing more may be written."""


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
    """One claimed execution. Only the thread that calls `go` writes records; parallel steps run on threads of their own."""

    def __init__(self, bench: Bench, claim: Claim, token: Token) -> None:
        self._bench = bench
        self._claim = claim
        self._execution = claim.execution
        self._token = token
        self._sequence = claim.execution.sequence
        self._masker = Masker()
        self._changes: list[Change] = []
        self._at_work = 0
        self._results: queue.SimpleQueue[tuple[Step, Attempt, Outcome]] = queue.SimpleQueue()
        self._pool: ThreadPoolExecutor | None = None
        self._subject = Subject()
        self._progress = Progress(claim.execution, Workflow(claim.execution.workflow, ()))
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
        if execution.resource_id is not None:
            self._subject = subject_of(self._bench.store, execution)
            for value in self._subject.masks:
                self._masker.add(value)
        if execution.sequence == 0:
            progress.inputs = bound(execution, workflow, self._subject)
            self._changes.append(InputsResolved(progress.inputs, len(workflow.steps)))
        else:
            self._restore(progress)
        for value in progress.secret_values():
            add_masks(self._masker, value)

    def _restore(self, progress: Progress) -> None:
        with self._bench.store.read() as tx:
            runs = executions.step_runs_of(tx, self._execution.id)
            over = {run.name: waits.ended(tx, run) for run in runs if run.state is StepState.WAITING}
        self._woken = {name: resumed for name, resumed in over.items() if resumed is not None}
        for run in progress.restore(runs):
            self._interrupted(progress, run)

    def _interrupted(self, progress: Progress, run: StepRun) -> None:
        """A step that was at work when its worker vanished: again if that is harmless, else a person decides."""
        step = progress.workflow.step(run.name)
        harmless = step.idempotent if step.idempotent is not None else registry.executor(step.type).idempotent
        if harmless:
            self._changes.append(StepFinished(run.position, run.attempt, StepState.CANCELLED, reason="interrupted"))
            progress.states[run.name] = StepState.PENDING
            return
        error = (
            "The engine stopped while this step was at work, and the step is not declared idempotent: "
            "look at what it did, then retry the execution."
        )
        self._changes.append(
            StepFinished(run.position, run.attempt, StepState.FAILED, error=error, reason="interrupted")
        )
        progress.finish(run.name, StepState.FAILED, error=error)

    # --- the work ---

    def _work(self) -> bool:
        self._resume_woken()
        while True:
            if self._token.draining.is_set() and self._at_work:
                self._take_in(*self._results.get())
                continue
            if self._token.draining.is_set():
                self._token.set(StopReason.STOPPING)
            if self._token.cancelled and not self._at_work:
                self._rest()
            step_on = self._advance()
            if step_on.finished is not None:
                self._finish(step_on.finished)
                return False
            if not step_on.start and not self._at_work:
                self._write(ExecutionWaits())
                return True
            inline = len(step_on.start) == 1 and not self._at_work
            prepared = [self._start(step) for step in step_on.start]
            if self._changes:
                self._write()
            for step, attempt in prepared:
                if attempt is not None:
                    self._launch(step, attempt, inline=inline)
            if self._at_work:
                self._take_in(*self._results.get())

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
            self._changes.append(
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
        self._changes.append(StepStarted(position, step.name, step.type, number, self._execution.attempt))
        if step.name in self._unclear:
            self._fail_step(step, position, number, Failed(self._unclear[step.name], reason="invalid", final=True))
            return step, None
        if step.when is When.MANUAL:
            self._wait(step, position, number, Suspend(Person("waits for a person to continue it")))
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
            found = executions.artifacts_of(tx, self._execution.id)
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
                self._changes.append(
                    StepFinished(
                        attempt.position, attempt.number, StepState.SUCCEEDED, outputs, artifacts=artifacts, log=log
                    )
                )
                self._progress.finish(step.name, StepState.SUCCEEDED, outputs)
            case Suspended(wait):
                self._wait(step, attempt.position, attempt.number, wait, log=log)
            case Failed():
                self._fail_step(step, attempt.position, attempt.number, outcome, log=log)
            case Stopped():
                raise Abandoned

    def _stop(self, step: Step, attempt: Attempt, outcome: Outcome) -> None:
        """The token is set: a cancelled execution is recorded once all its steps have come back, others are left as they are."""
        if self._token.reason is StopReason.STOPPING and isinstance(outcome, Succeeded):
            self._changes.append(
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
            self._changes.append(
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
        elif self._changes and self._token.reason is StopReason.STOPPING:
            self._write()
        raise Abandoned

    # --- failing, waiting, resuming ---

    def _fail_step(
        self, step: Step, position: int, number: int, failed: Failed, *, log: tuple[tuple[int, str], ...] = ()
    ) -> None:
        tries = self._progress.tries.get(step.name, 0) + 1
        self._progress.tries[step.name] = tries
        again = tries <= step.retry.max and not failed.final
        reason = waits.RETRY if again else failed.reason
        self._changes.append(
            StepFinished(position, number, StepState.FAILED, error=failed.error, reason=reason, log=log)
        )
        if not again:
            self._progress.finish(step.name, StepState.FAILED, error=failed.error)
            return
        pause = max(step.retry.backoff * 2 ** (tries - 1), failed.retry_after)
        following = self._progress.next_attempt(step.name)
        self._changes += [
            StepStarted(position, step.name, step.type, following, self._execution.attempt),
            StepWaits(position, following, WaitKind.TIMER, wake_after=pause, reason=waits.RETRY),
        ]
        self._progress.states[step.name] = StepState.WAITING

    def _wait(
        self, step: Step, position: int, number: int, suspend: Suspend, *, log: tuple[tuple[int, str], ...] = ()
    ) -> None:
        """Ask for what the step waits for, then put the wait on the record."""
        requests, execution = self._bench.requests, self._execution
        kind, ref, after, reason = WaitKind.TIMER, None, None, ""
        memo = dict(suspend.memo)
        try:
            match suspend.on:
                case Timer(seconds):
                    after = seconds
                case ChildExecution() as child:
                    kind = WaitKind.EXECUTION
                    ref = requests.start_child(execution, step.name, child, again=number > 1)
                case RequestedResource() as wanted:
                    kind, memo["operation"] = WaitKind.RESOURCE, wanted.operation
                    ref = requests.request_resource(execution, wanted)
                case SubmittedSpec() as spec:
                    kind, after = WaitKind.APPLICATION, _POLL_SECONDS
                    ref = requests.submit_spec(execution, step.name, spec)
                case Person(message):
                    kind, reason = WaitKind.PERSON, message
        except InnominatusError as error:
            problems = "; ".join(str(problem) for problem in getattr(error, "problems", ()))
            told = self._masker.mask(f"{error.message} {problems} {error.hint}".strip())
            self._fail_step(step, position, number, Failed(told, reason=error.family, final=True), log=log)
            return
        self._changes.append(
            StepWaits(position, number, kind, ref, wake_after=after, memo=memo, reason=reason, log=log)
        )
        self._progress.states[step.name] = StepState.WAITING

    def _resume_woken(self) -> None:
        """Go on with the steps whose wait is over."""
        launches: list[tuple[Step, Attempt]] = []
        for name, resumed in self._woken.items():
            run = self._progress.waiting.pop(name)
            step = self._progress.workflow.step(name)
            self._progress.states[name] = StepState.RUNNING
            self._changes.append(StepResumed(run.position, run.attempt))
            fresh = run.reason == waits.RETRY or step.when is When.MANUAL
            attempt = self._attempt(step, run.position, run.attempt, None if fresh else resumed)
            launches.append((step, attempt))
        if not launches:
            return
        self._write()
        for step, attempt in launches:
            self._launch(step, attempt, inline=len(launches) == 1)
        self._take_in(*self._results.get())

    # --- the end ---

    def _finish(self, state: ExecutionState) -> None:
        progress = self._progress
        if state is not ExecutionState.SUCCEEDED:
            failed = next(iter(progress.errors.items()), ("", ""))
            interrupted = any(
                isinstance(change, StepFinished) and change.reason == "interrupted" for change in self._changes
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
        self._write(ExecutionEnded(state, outputs, error, reason, resource=self._run_end(state, outputs, error)))
        logger.info(
            f"execution.{state.value}",
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
            self._changes.append(StepFinished(run.position, run.attempt, StepState.CANCELLED, reason="cancelled"))
        self._progress.waiting.clear()

    def _run_end(self, state: ExecutionState, outputs: Outputs, error: str) -> RunEnd | None:
        execution = self._execution
        if execution.resource_id is None or execution.operation is None:
            return None
        outcomes = {
            ExecutionState.SUCCEEDED: ResourceOutcome.SUCCEEDED,
            ExecutionState.CANCELLED: ResourceOutcome.CANCELLED,
        }
        if execution.operation is Operation.READ:
            outputs = Outputs()
        declared = self._declared_secrets()
        return RunEnd(
            execution.operation,
            execution.generation,
            outcomes.get(state, ResourceOutcome.FAILED),
            outputs.values,
            outputs.secret | (declared & outputs.values.keys()),
            self._subject.fingerprint,
            error or ("cancelled" if state is ExecutionState.CANCELLED else ""),
        )

    def _declared_secrets(self) -> frozenset[str]:
        try:
            provider = self._bench.providers.provider(self._execution.digest)
        except NotFound:
            return frozenset()
        kind = provider.resource_type(str(self._subject.view.get("type")))
        return kind.secret_outputs if kind else frozenset()

    def _write(self, *last: Change) -> None:
        """Make what has gathered durable. Raises Abandoned when the fence no longer holds."""
        if self._token.reason is StopReason.LEASE_LOST:
            raise Abandoned
        self._sequence += 1
        changes, self._changes = (*self._changes, *last), []
        if not self._bench.journal.write(Record(self._execution, self._sequence, changes)):
            self._token.set(StopReason.LEASE_LOST)
            raise Abandoned


def workflow_outputs(workflow: Workflow, progress: Progress) -> Outputs:
    """The outputs of a finished workflow; those of its last step when it declares none. Raises Invalid for a missing value.

    An output is secret when declared so, or when it reads a secret of its steps or inputs.
    """
    if not workflow.outputs:
        return progress.outputs.get(workflow.steps[-1].name, Outputs()) if workflow.steps else Outputs()
    scope = progress.scope
    values: dict[str, Json] = {}
    secret: set[str] = set()
    for name, output in workflow.outputs.items():
        values[name] = expressions.render(output.value, scope, at=f"outputs.{name}")
        if output.secret or _reads_secret(output.value, progress):
            secret.add(name)
    return Outputs(values, frozenset(secret))


def _reads_secret(template: Json, progress: Progress) -> bool:
    for path in expressions.references(template):
        keys = [str(key) for key in path]
        if keys[0] == "steps" and len(keys) > 1:
            outputs = progress.outputs.get(keys[1], Outputs())
            if outputs.secret and (len(keys) < 4 or keys[3] in outputs.secret):
                return True
        if keys[0] == "parameters" and (len(keys) < 2 or keys[1] in progress.inputs.secret - {"resource"}):
            return True
    return False
