"""How an execution ends: what it gives out, and what becomes of its waits and its resource."""

import logging
from dataclasses import dataclass, field, replace

import structlog

from engine.domain.execution import ExecutionState, StepState, WaitKind
from engine.domain.provider import Operation
from engine.domain.resource import Outcome, RunEnd
from engine.domain.runs import NO_OUTPUTS, Execution, Outputs, StepRun
from engine.domain.values import ExecutionId
from engine.errors import Invalid, NotFound
from engine.providers.active import ActiveProviders
from engine.runtime.bench import Bench
from engine.runtime.inputs import Subject
from engine.runtime.ledger import Ledger, Writing
from engine.runtime.outputs import workflow_outputs
from engine.runtime.progress import INTERRUPTED, Progress
from engine.store import executions, steps
from engine.store.records import ExecutionEnded, StepFinished

logger = structlog.get_logger()
_OUTCOMES = {ExecutionState.SUCCEEDED: Outcome.SUCCEEDED, ExecutionState.CANCELLED: Outcome.CANCELLED}
INTERNAL = "internal"
BROKEN = (
    "The engine met an error of its own; the log of its process has the details. "
    "Retry the execution: finished steps are kept."
)


@dataclass(slots=True)
class Ends:
    """Writes the last record of an execution. Raises Abandoned when it is no longer ours."""

    bench: Bench
    progress: Progress
    ledger: Ledger
    subject: Subject = field(default_factory=Subject)

    def finish(self, state: ExecutionState) -> Writing:
        """All steps are done, with `state` as their sum."""
        progress = self.progress
        if state is not ExecutionState.SUCCEEDED:
            name, error = next(iter(progress.errors.items()), ("", ""))
            reason = INTERRUPTED if INTERRUPTED in progress.reasons.values() else "step_failed"
            yield from self.end(state, error=f"step `{name}`: {error}" if name else "", reason=reason)
            return
        try:
            outputs = workflow_outputs(progress.workflow, progress)
        except Invalid as error:
            told = "; ".join(str(problem) for problem in error.problems) or error.message
            yield from self.end(ExecutionState.FAILED, error=f"outputs: {told}", reason="invalid")
            return
        yield from self.end(state, outputs=outputs)

    def break_off(self, state: ExecutionState, *, error: str, reason: str) -> Writing:
        """The workflow cannot go on as a whole: what the record shows at work failed with it."""
        told = {(change.position, change.attempt) for change in self.ledger.pending if isinstance(change, StepFinished)}
        with self.bench.store.read() as tx:
            unfinished = steps.unfinished(tx, self.progress.execution.id)
        for run in unfinished:
            if (run.position, run.attempt) in told:
                continue
            if run.state is StepState.WAITING:
                self.progress.waiting[run.name] = run
            else:
                self.ledger.add(StepFinished(run.position, run.attempt, StepState.FAILED, error=error, reason=reason))
        yield from self.end(state, error=error, reason=reason)

    def end(
        self, state: ExecutionState, *, outputs: Outputs | None = None, error: str = "", reason: str = ""
    ) -> Writing:
        execution = self.progress.execution
        outputs = NO_OUTPUTS if outputs is None else outputs
        children = self._cancel_waiting()
        end = run_end(execution, self.subject, self.bench.providers, state=state, outputs=outputs, error=error)
        if end is not None and self.subject.local and (self.progress.attempts or end.operation is not Operation.CREATE):
            end = replace(end, place=self.bench.place)  # a create that began nothing left nothing
        yield from self.ledger.write(ExecutionEnded(state, outputs, error, reason, resource=end))
        for child in children:
            self.bench.cancelled(child)
        routine = execution.operation is Operation.READ and state is ExecutionState.SUCCEEDED
        logger.log(
            logging.DEBUG if routine else logging.INFO,  # a good health check a minute would bury the rest
            "execution.ended",
            state=state.value,
            execution=execution.id,
            workflow=execution.workflow,
            application=execution.application,
            error=error,
        )
        self.bench.workshop.workspaces.close(execution)

    def _cancel_waiting(self) -> list[ExecutionId]:
        """Nothing is waited for any more; returns the children whose end was asked for."""
        waiting = list(self.progress.waiting.values())
        children = [ExecutionId(run.wait_ref) for run in waiting if _is_child(run) and run.wait_ref is not None]
        if children:
            with self.bench.store.begin() as tx:
                for child in children:
                    executions.request_cancel(tx, child)
        for run in waiting:
            self.ledger.add(StepFinished(run.position, run.attempt, StepState.CANCELLED, reason="cancelled"))
        self.progress.waiting.clear()
        return children


def _is_child(run: StepRun) -> bool:
    return run.wait_kind is WaitKind.EXECUTION


def run_end(
    execution: Execution,
    subject: Subject,
    providers: ActiveProviders,
    *,
    state: ExecutionState,
    outputs: Outputs,
    error: str,
) -> RunEnd | None:
    """How the run of a resource's operation ended; None for an execution that works for no resource."""
    if execution.resource_id is None or execution.operation is None:
        return None
    if execution.operation is Operation.READ:
        outputs = Outputs()
    declared = _declared_secrets(execution, subject, providers)
    return RunEnd(
        execution.operation,
        execution.generation,
        _OUTCOMES.get(state, Outcome.FAILED),
        outputs.values,
        outputs.secret | (declared & outputs.values.keys()),
        subject.fingerprint,
        error or ("cancelled" if state is ExecutionState.CANCELLED else ""),
    )


def _declared_secrets(execution: Execution, subject: Subject, providers: ActiveProviders) -> frozenset[str]:
    try:
        provider = providers.provider(execution.digest)
    except NotFound:
        return frozenset()
    kind = provider.resource_type(str(subject.view.get("type")))
    return kind.secret_outputs if kind else frozenset()
