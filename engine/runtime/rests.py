"""What becomes of a step that has not succeeded: it fails, is tried again, waits, or was interrupted."""

from engine.domain.execution import StepState, WaitKind
from engine.domain.runs import StepRun
from engine.domain.workflow import Step
from engine.errors import InnominatusError, Unavailable
from engine.runtime.attempt import Failed
from engine.runtime.ledger import Ledger
from engine.runtime.progress import INTERRUPTED, Progress
from engine.runtime.requests import Requests
from engine.steps import registry
from engine.steps.base import ChildExecution, Person, RequestedResource, SubmittedSpec, Suspend, Timer
from engine.steps.masking import Masker
from engine.store.away import DatabaseAway
from engine.store.records import RETRY, StepFinished, StepStarted, StepWaits


class Rests:
    """Puts on an execution's ledger how its steps come to rest without success."""

    def __init__(self, progress: Progress, ledger: Ledger, requests: Requests, masker: Masker) -> None:
        self._progress = progress
        self._execution = progress.execution
        self._ledger = ledger
        self._requests = requests
        self._masker = masker

    def interrupted(self, run: StepRun) -> None:
        """A step that was at work when its worker vanished: again if that is harmless, else a person decides."""
        progress = self._progress
        step = progress.workflow.step(run.name)
        if registry.may_run_twice(step):
            self._ledger.add(StepFinished(run.position, run.attempt, StepState.CANCELLED, reason=INTERRUPTED))
            progress.begins_anew(run.name)
            return
        error = (
            "The engine stopped while this step was at work, and the step is not declared idempotent: "
            "look at what it did, then retry the execution."
        )
        self._ledger.add(StepFinished(run.position, run.attempt, StepState.FAILED, error=error, reason=INTERRUPTED))
        progress.finish(run.name, StepState.FAILED, error=error, reason=INTERRUPTED)

    def fail(
        self, step: Step, position: int, number: int, failed: Failed, *, log: tuple[tuple[int, str], ...] = ()
    ) -> None:
        tries = self._progress.tries.get(step.name, 0) + 1
        self._progress.tries[step.name] = tries
        again = tries <= step.retry.max and not failed.final
        reason = RETRY if again else failed.reason
        self._ledger.add(StepFinished(position, number, StepState.FAILED, error=failed.error, reason=reason, log=log))
        if not again:
            self._progress.finish(step.name, StepState.FAILED, error=failed.error, reason=reason)
            return
        pause = max(step.retry.backoff * 2 ** (tries - 1), failed.retry_after)
        following = self._progress.next_attempt(step.name)
        self._ledger.add(StepStarted(position, step.name, step.type, following, self._execution.attempt))
        self._asleep(step, StepWaits(position, following, WaitKind.TIMER, wake_after=pause, reason=RETRY))

    def wait(
        self, step: Step, position: int, number: int, suspend: Suspend, *, log: tuple[tuple[int, str], ...] = ()
    ) -> None:
        """Ask for what the step waits for, then put the wait on the record."""
        requests, execution = self._requests, self._execution
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
                    kind = WaitKind.APPLICATION
                    ref = requests.submit_spec(execution, step.name, spec)
                case Person(message):
                    kind, reason = WaitKind.PERSON, self._masker.mask(message)
        except DatabaseAway:  # the step begins anew when it is back; what was asked for already is found then
            raise
        except InnominatusError as error:
            problems = "; ".join(str(problem) for problem in getattr(error, "problems", ()))
            told = self._masker.mask(f"{problems or error.message} {error.hint}".strip())
            final = not isinstance(error, Unavailable)
            self.fail(step, position, number, Failed(told, reason=error.code, final=final), log=log)
            return
        self._asleep(step, StepWaits(position, number, kind, ref, wake_after=after, memo=memo, reason=reason, log=log))

    def _asleep(self, step: Step, wait: StepWaits) -> None:
        self._ledger.add(wait)
        self._progress.states[step.name] = StepState.WAITING
        self._progress.waiting[step.name] = StepRun(
            position=wait.position,
            name=step.name,
            type=step.type,
            attempt=wait.attempt,
            execution_attempt=self._execution.attempt,
            state=StepState.WAITING,
            wait_kind=wait.kind,
            wait_ref=wait.ref,
        )
