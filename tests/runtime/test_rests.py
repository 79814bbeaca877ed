"""What stands on the record of a step that waits."""

from engine.domain.execution import ExecutionState
from engine.domain.runs import Execution
from engine.domain.values import ApplicationId, ExecutionId, ResourceId
from engine.domain.workflow import Step, Workflow
from engine.runtime.cancellation import Token
from engine.runtime.ledger import Ledger
from engine.runtime.progress import Progress
from engine.runtime.rests import Rests
from engine.steps.base import ChildExecution, Person, RequestedResource, SubmittedSpec, Suspend
from engine.steps.masking import Masker
from engine.store.records import StepWaits


class Nobody:
    """A person is waited for: nothing else is asked."""

    def start_child(self, execution: Execution, step: str, request: ChildExecution, *, again: bool) -> ExecutionId:
        raise AssertionError(request)

    def request_resource(self, execution: Execution, request: RequestedResource) -> ResourceId:
        raise AssertionError(request)

    def submit_spec(self, execution: Execution, step: str, request: SubmittedSpec) -> ApplicationId:
        raise AssertionError(request)


def test_no_secret_stands_in_what_a_person_is_asked() -> None:
    step = Step("ask", "custom")
    execution = Execution(ExecutionId(1), "p", "d", "w", ExecutionState.RUNNING)
    ledger = Ledger(execution, Token())
    rests = Rests(Progress(execution, Workflow("w", (step,))), ledger, Nobody(), Masker(["s3cret"]))
    rests.wait(step, 0, 1, Suspend(Person("May I use s3cret?")))
    assert [change.reason for change in ledger.pending if isinstance(change, StepWaits)] == ["May I use ***?"]
