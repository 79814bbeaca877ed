"""What stands on the record of a step that waits."""

from engine.domain.execution import ExecutionState
from engine.domain.provider import Operation
from engine.domain.runs import Execution
from engine.domain.values import ApplicationId, ExecutionId, ResourceId
from engine.domain.workflow import Step, Workflow
from engine.runtime.cancellation import Token
from engine.runtime.claimer import Held
from engine.runtime.ledger import Ledger
from engine.runtime.progress import Progress
from engine.runtime.rests import Rests
from engine.steps.base import ChildExecution, Person, RequestedResource, SubmittedSpec, Suspend
from engine.steps.masking import Masker
from engine.store.database import Store, Transaction
from engine.store.journal import Journal
from engine.store.records import StepWaits


class Nobody:
    """Claims nothing, provides nothing: a person is waited for."""

    def take(self, tx: Transaction, ended: int) -> list[Held]:
        raise AssertionError(ended)

    def give(self, taken: object) -> None:
        raise AssertionError(taken)

    def start_child(self, execution: Execution, step: str, request: ChildExecution, *, again: bool) -> ExecutionId:
        raise AssertionError(request)

    def request_resource(self, execution: Execution, request: RequestedResource) -> ResourceId:
        raise AssertionError(request)

    def submit_spec(self, execution: Execution, step: str, request: SubmittedSpec) -> ApplicationId:
        raise AssertionError(request)


def nobody(_type: str, _operation: Operation, /, *, recorded: str = "") -> None:
    """No provider makes anything."""


def test_no_secret_stands_in_what_a_person_is_asked(store: Store) -> None:
    step = Step("ask", "custom")
    execution = Execution(ExecutionId(1), "p", "d", "w", ExecutionState.RUNNING)
    journal = Journal[Held](store, choose=nobody, refill=Nobody(), woken=lambda _: None, lost=lambda: None)
    ledger = Ledger(journal, execution, Token())
    rests = Rests(Progress(execution, Workflow("w", (step,))), ledger, Nobody(), Masker(["s3cret"]))
    rests.wait(step, 0, 1, Suspend(Person("May I use s3cret?")))
    assert [change.reason for change in ledger.pending if isinstance(change, StepWaits)] == ["May I use ***?"]
