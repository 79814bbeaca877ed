"""What a running workflow may ask of the platform. The services implement it; the composition root passes it down."""

from typing import Protocol

from engine.domain.runs import Execution
from engine.domain.values import ApplicationId, ExecutionId, ResourceId
from engine.steps.base import ChildExecution, RequestedResource, SubmittedSpec


class Requests(Protocol):
    """Every call may be repeated after a crash and then finds what the first one made."""

    def start_child(self, execution: Execution, step: str, request: ChildExecution, *, again: bool) -> ExecutionId:
        """The execution of a sub-workflow. With `again`, one that failed before gets a new attempt."""
        ...

    def request_resource(self, execution: Execution, request: RequestedResource) -> ResourceId:
        """The resource asked for, created, updated or to be deleted as needed."""
        ...

    def submit_spec(self, execution: Execution, step: str, request: SubmittedSpec) -> ApplicationId:
        """The application whose spec was submitted."""
        ...
