"""What the tasks stand on: a platform with things on it, made and looked at through the services only."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.domain.execution import ExecutionState
from engine.domain.runs import Execution
from engine.domain.values import Actor, ActorKind, ExecutionId, JsonObject
from engine.services import applications, executions, resources, submissions, timeline
from engine.services.platform import Platform
from tests.mcp_server.conftest import Answer, Caller, score
from tests.mcp_server.rule_client import Lost
from tests.support.platforms import until

OWNER = Actor(ActorKind.USER, "olga")
_PATIENCE = 30


@dataclass
class World:
    """One repetition's part of the platform: `name` is nobody else's."""

    platform: Platform
    name: str
    folder: Path
    after: dict[str, Callable[[], None]] = field(default_factory=dict[str, Callable[[], None]])
    """What happens, once, when a tool has been called otherwise than as a trial."""

    def spec(self, inside: str, *, name: str = "") -> str:
        return score(name or self.name, inside)

    def deploy(self, inside: str, *, name: str = "", environment: str = "default", actor: Actor = OWNER) -> None:
        """As a person did before; every resource has ended when it returns."""
        made = submissions.submit(self.platform, actor, self.spec(inside, name=name), environment=environment)
        for started in made.execution_ids:
            self.ended(started)

    def run(self, workflow: str, **inputs: str) -> ExecutionId:
        given: JsonObject = dict(inputs)
        started = executions.execute(self.platform, OWNER, workflow, given)
        assert started is not None
        return started

    def ended(self, execution_id: ExecutionId) -> Execution:
        return executions.wait(self.platform, execution_id, seconds=_PATIENCE).execution

    def states(self, *, name: str = "", environment: str = "default") -> dict[str, str]:
        """The state of each resource, by its name; without those that are gone."""
        found = resources.listed(self.platform, application=name or self.name, environment=environment)
        return {one.name: one.state.value for one in found.items}

    def outputs(self, resource: str, *, environment: str = "default") -> JsonObject:
        found = resources.listed(self.platform, application=self.name, environment=environment)
        (outputs,) = [one.outputs for one in found.items if one.name == resource]
        return outputs

    def version(self) -> int:
        return applications.get(self.platform, self.name).version

    def happened(self) -> list[str]:
        """The kinds of everything that happened to the application, in order."""
        return [fact.kind for fact in timeline.listed(self.platform, application=self.name).items]

    def waits(self, execution_id: ExecutionId) -> None:
        """Until it waits for a person."""
        until(lambda: executions.get(self.platform, execution_id).execution.state is ExecutionState.WAITING)

    async def door(self, call: Caller, tool: str, arguments: dict[str, object]) -> Answer:
        """A tool as the client reaches it, while the world goes on."""
        answer = await call(tool, **arguments)
        if not arguments.get("dry_run"):
            self.after.pop(tool, _nothing)()
        return answer


def _nothing() -> None:
    pass


def lose() -> None:
    """The answer does not reach the client."""
    raise Lost
