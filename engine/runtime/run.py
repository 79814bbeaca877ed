"""Carries one claimed execution from where it is to its next rest: its end, a wait, or the loss of its lease."""

import contextlib
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import structlog

from engine.domain import expressions
from engine.domain.execution import Advance, ExecutionState, StepState, advance
from engine.domain.runs import Claim, Execution
from engine.domain.workflow import Step, When, Workflow
from engine.errors import InnominatusError, Internal, Invalid
from engine.runtime import waits
from engine.runtime.at_work import AtWork
from engine.runtime.attempt import Failed, Outcome, Stopped, Succeeded, Suspended
from engine.runtime.bench import Bench
from engine.runtime.cancellation import StopReason, Token
from engine.runtime.ending import BROKEN, INTERNAL, Ends
from engine.runtime.inputs import bound, subject_of
from engine.runtime.ledger import Abandoned, Ledger, Writing
from engine.runtime.live_log import LiveLog
from engine.runtime.places import check_at_home
from engine.runtime.progress import INTERRUPTED, Progress
from engine.runtime.rests import Rests
from engine.runtime.workshop import Attempt
from engine.steps import registry
from engine.steps.base import Person, Resumed, StepCancelled, Suspend
from engine.steps.masking import Masker
from engine.steps.step_log import StepLog
from engine.store import leavings, steps
from engine.store.away import DatabaseAway, in_short
from engine.store.records import (
    RETRY,
    AttemptBegun,
    ExecutionWaits,
    InputsResolved,
    Record,
    StepFinished,
    StepResumed,
    StepSkipped,
    StepStarted,
)

logger = structlog.get_logger()
_UNREAD = Workflow("", ())
_MOST_UNWRITTEN = 200
_DATABASE_PAUSE_SECONDS = 0.5
_MAY_HOLD = frozenset({StopReason.STOPPING, StopReason.LEASE_LOST})
"""A lease that nobody has taken over yet still has its fence, which decides whether the last word counts."""


class Run:
    """One claimed execution. Only the thread that calls `go` writes; parallel steps run on threads of their own."""

    def __init__(self, bench: Bench, claim: Claim, token: Token) -> None:
        self._bench = bench
        self._claim = claim
        self._execution = claim.execution
        self._token = token
        self._masker = Masker()
        self._at_work = AtWork(bench, claim.execution, token)
        self._progress = Progress(claim.execution, _UNREAD)
        self._ledger = Ledger(claim.execution, token)
        self._rests = Rests(self._progress, self._ledger, bench.requests, self._masker)
        self._ends = Ends(bench, self._progress, self._ledger)
        self._woken: dict[str, Resumed] = {}
        self._logged: Mapping[tuple[int, int], int] = {}
        self._unclear: dict[str, str] = {}

    def go(self) -> Generator[Record, bool, bool]:
        """Hands out the records it waits for. Returns True when the execution fell asleep, false when it ended.

        Raises Abandoned when it is no longer ours.
        """
        try:
            self._prepare()
            if self._execution.cancel_requested:
                yield from self._ends.end(ExecutionState.CANCELLED, reason="cancelled")
                return False
            return (yield from self._work())
        except Abandoned:
            raise
        except DatabaseAway as error:
            yield from self._let_go(error)
            raise Abandoned(give_back=False) from error
        except Exception as error:
            if isinstance(error, Internal) or not isinstance(error, InnominatusError):
                logger.exception("run.defect", execution=self._execution.id)
            yield from self._break_off(error)
            return False
        finally:
            self._at_work.close()

    def _let_go(self, error: DatabaseAway) -> Writing:
        """The database is away: keep what is at work, begin nothing; whoever finds the lease over goes on."""
        logger.warning("run.database_away", execution=self._execution.id, error=in_short(error))
        self._token.draining = True
        with contextlib.suppress(Abandoned, DatabaseAway):
            yield from self._heed_token()

    def _break_off(self, error: Exception) -> Writing:
        """The execution cannot go on: stop what is at work and end it, so that people learn of it and can retry."""
        told, reason = _told(error)
        self._token.set(StopReason.BROKEN)
        cancelled = self._execution.cancel_requested or self._token.reason is StopReason.CANCELLED
        state = ExecutionState.CANCELLED if cancelled else ExecutionState.FAILED
        self._take_in_all()
        try:
            yield from self._ends.break_off(state, error=self._masker.mask(told), reason=reason)
        except (Abandoned, DatabaseAway):
            raise
        except Exception:
            logger.exception("run.defect", execution=self._execution.id)  # what had gathered cannot be written
            yield from self._ends.break_off(state, error=BROKEN, reason=INTERNAL)

    # --- what is on record ---

    def _prepare(self) -> None:
        execution = self._execution
        workflow = self._bench.providers.workflow(execution.digest, execution.workflow)
        progress = self._progress
        progress.workflow, progress.inputs = workflow, execution.inputs
        if execution.resource_id is not None:
            self._ends.subject = subject = subject_of(self._bench, self._claim)
            for value in subject.masks:
                self._masker.add(value)
        if execution.sequence == 0:
            progress.inputs = bound(execution, workflow, self._ends.subject)
            if progress.inputs != execution.inputs or len(workflow.steps) != execution.total_steps:
                self._ledger.add(InputsResolved(progress.inputs, len(workflow.steps)))
        else:
            self._restore(progress)
        self._stay_at_home(progress)
        for value in progress.secret_values():
            self._masker.add_all(value)

    def _stay_at_home(self, progress: Progress) -> None:
        """Raise Conflict for a resource that lives in another place."""
        subject, operation = self._ends.subject, self._execution.operation
        if subject.local and subject.resource is not None and operation is not None:
            begun = StepState.SUCCEEDED in progress.states.values()
            check_at_home(subject.resource, operation, self._bench.place, begun=begun)

    def _restore(self, progress: Progress) -> None:
        with self._bench.reading() as tx:
            runs = steps.of_execution(tx, self._execution.id)
            over = {run.name: waits.ended(tx, run) for run in runs if run.state is StepState.WAITING}
            self._logged = leavings.log_chunks(tx, self._execution.id) if any(over.values()) else {}
        self._woken = {name: resumed for name, resumed in over.items() if resumed is not None}
        running = progress.restore(runs)
        if all(run.execution_attempt < self._execution.attempt for run in runs):
            self._ledger.add(AttemptBegun(len(progress.states)))
        for run in running:
            self._rests.interrupted(run)

    # --- the work ---

    def _work(self) -> Generator[Record, bool, bool]:
        yield from self._resume_woken()
        while True:
            yield from self._heed_token()
            step_on = self._advance()
            if step_on.finished is not None:
                yield from self._ends.finish(step_on.finished)
                return False
            if not step_on.start and not self._at_work:
                yield from self._ledger.write(ExecutionWaits())
                return True
            alone = len(step_on.start) == 1 and not self._at_work
            left: Mapping[int, bytes] = (yield from self._artifacts()) if step_on.start else {}
            prepared = [self._start(step, left) for step in step_on.start]
            starting = [(step, attempt) for step, attempt in prepared if attempt is not None]
            if self._ledger.pending and not self._only_computes(starting):
                yield from self._ledger.write()
            for step, attempt in starting:
                self._at_work.launch(step, attempt, inline=alone or registry.is_instant(step.type))
            if self._at_work:
                self._take_in(*self._at_work.next())

    def _only_computes(self, starting: Sequence[tuple[Step, Attempt]]) -> bool:
        """Whether all that is at work next has no effect: then its start and its end go on record together.

        Should the process die before that, they are computed again and nobody can tell.
        """
        pure = bool(starting) and all(registry.is_pure(step.type) for step, _ in starting)
        return pure and not self._at_work and len(self._ledger.pending) < _MOST_UNWRITTEN

    def _heed_token(self) -> Writing:
        """When the process is about to stop, take in what is at work and begin nothing; leave when the token is set."""
        if self._token.draining:
            self._take_in_all()
            self._token.set(StopReason.STOPPING)
        if self._token.cancelled:
            self._take_in_all()
            yield from self._rest()

    def _take_in_all(self) -> None:
        while self._at_work:
            self._take_in(*self._at_work.next())

    def _advance(self) -> Advance:
        progress = self._progress
        unclear: dict[str, str] = {}

        def holds(step: Step) -> bool:
            try:
                return expressions.condition(step.condition or "true", progress.scope)
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

    def _start(self, step: Step, left: Mapping[int, bytes]) -> tuple[Step, Attempt | None]:
        """Put the start of a step on the record to be written; None when it waits for a person first."""
        progress = self._progress
        number = progress.next_attempt(step.name)
        position = progress.position(step)
        progress.states[step.name] = StepState.RUNNING
        self._ledger.add(StepStarted(position, step.name, step.type, number, self._execution.attempt))
        if step.name in self._unclear:
            self._rests.fail(step, position, number, Failed(self._unclear[step.name], reason="invalid", final=True))
            return step, None
        if step.when is When.MANUAL and step.name not in progress.approved:
            self._rests.wait(step, position, number, Suspend(Person("waits for a person to continue it")))
            return step, None
        return step, self._attempt(step, position, number, left)

    def _attempt(
        self, step: Step, position: int, number: int, left: Mapping[int, bytes], resumed: Resumed | None = None
    ) -> Attempt:
        """`left` are the artifacts on record per position."""
        execution = self._execution
        live = not step.secret_outputs  # what is secret is known only when the step has said so
        chunks = self._logged.get((position, number), 0)
        log = LiveLog(StepLog(self._bench.workshop.log_bytes), position, number, self._masker, live, chunks)
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
            artifacts=tuple(content for place, content in sorted(left.items()) if place < position) if left else (),
            resumed=resumed,
        )

    def _bundle(self, execution: Execution) -> Path:
        """The provider's files; while the database is away the step waits for them, as its record would."""
        while True:
            try:
                return self._bench.providers.folder(execution.digest)
            except DatabaseAway:
                if self._token.wait(_DATABASE_PAUSE_SECONDS):
                    raise StepCancelled from None

    def _artifacts(self) -> Generator[Record, bool, Mapping[int, bytes]]:
        """What steps left for later ones; nothing is read when no step declares any.

        What has just been finished is written first, or it would be missing here.
        """
        if not any(step.artifacts for step in self._progress.workflow.steps):
            return {}
        if self._ledger.pending:
            yield from self._ledger.write()
        with self._bench.reading() as tx:
            return leavings.artifacts_of(tx, self._execution.id)

    def _take_in(self, step: Step, attempt: Attempt, outcome: Outcome) -> None:
        if self._token.cancelled:
            self._stopped(step, attempt, outcome)
            return
        log = attempt.log.take(final=True)
        match outcome:
            case Succeeded():
                self._succeeded(step, attempt, outcome, log)
            case Suspended(wait):
                self._rests.wait(step, attempt.position, attempt.number, wait, log=log)
            case Failed():
                self._rests.fail(step, attempt.position, attempt.number, outcome, log=log)
            case Stopped():
                failed = Failed("The step says that it was stopped, though nobody asked for that.")
                self._rests.fail(step, attempt.position, attempt.number, failed, log=log)

    def _succeeded(self, step: Step, attempt: Attempt, done: Succeeded, log: tuple[tuple[int, str], ...]) -> None:
        state = StepState.SUCCEEDED
        self._ledger.add(
            StepFinished(attempt.position, attempt.number, state, done.outputs, artifacts=done.artifacts, log=log)
        )
        self._progress.finish(step.name, state, done.outputs)

    def _stopped(self, step: Step, attempt: Attempt, outcome: Outcome) -> None:
        """A step comes back after the token was set: what succeeded all the same is kept, the others by its reason."""
        if isinstance(outcome, Succeeded):
            self._succeeded(step, attempt, outcome, attempt.log.take(final=True))
            return
        cancelled = self._token.reason is StopReason.CANCELLED
        if not cancelled and (not isinstance(outcome, Stopped) or outcome.begun):
            return  # on record it stays at work; whoever takes the execution up goes by its `idempotent`
        reason = "cancelled" if cancelled else INTERRUPTED
        log = attempt.log.take(final=True)
        self._ledger.add(StepFinished(attempt.position, attempt.number, StepState.CANCELLED, reason=reason, log=log))
        self._progress.finish(step.name, StepState.CANCELLED)

    def _rest(self) -> Generator[Record, bool, NoReturn]:
        """Nothing is at work any more and the token is set: record what may be recorded and leave."""
        if self._token.reason is StopReason.CANCELLED:
            yield from self._ends.end(ExecutionState.CANCELLED, reason="cancelled")
        elif self._ledger.pending and self._token.reason in _MAY_HOLD:
            yield from self._ledger.write()
        raise Abandoned

    # --- resuming ---

    def _resume_woken(self) -> Writing:
        """Go on with the steps whose wait is over."""
        launches: list[tuple[Step, Attempt]] = []
        left: Mapping[int, bytes] = (yield from self._artifacts()) if self._woken else {}
        for name, resumed in self._woken.items():
            run = self._progress.waiting.pop(name)
            step = self._progress.workflow.step(name)
            self._progress.states[name] = StepState.RUNNING
            self._ledger.add(StepResumed(run.position, run.attempt))
            fresh = run.reason == RETRY or step.when is When.MANUAL
            attempt = self._attempt(step, run.position, run.attempt, left, None if fresh else resumed)
            launches.append((step, attempt))
        if not launches:
            return
        yield from self._ledger.write()
        for step, attempt in launches:
            self._at_work.launch(step, attempt, inline=len(launches) == 1)
        self._take_in(*self._at_work.next())


def _told(error: Exception) -> tuple[str, str]:
    """What people are told of an error that ends an execution, and its reason."""
    if isinstance(error, Invalid):
        return "; ".join(str(problem) for problem in error.problems) or error.message, error.code
    if isinstance(error, InnominatusError) and not isinstance(error, Internal):
        return f"{error.message} {error.hint}".strip(), error.code
    return BROKEN, INTERNAL
