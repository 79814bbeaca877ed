"""How a diagnosis looks as JSON, the same through every door."""

from engine.domain.diagnosis import Diagnosis, FailedStep, Move, Node
from engine.domain.values import Json, JsonObject


def diagnosis(found: Diagnosis | None) -> JsonObject:
    """`failed` is false, and there is nothing else, where nothing failed."""
    if found is None:
        return {"failed": False}
    return {
        "failed": True,
        "cause": found.cause.value,
        "evidence": found.evidence,
        "says": found.says,
        "node": node(found.node),
        "step": None if found.step is None else step(found.step),
        "log": found.log,
        "chain": [node(one) for one in found.chain],
        "also": [{"name": one.name, "says": one.says, "resource_id": one.resource_id} for one in found.also],
        "left_behind": [{"kind": one.kind, "name": one.name, "how": one.how} for one in found.left_behind],
        "retry": {"safety": found.retry.safety.value, "why": found.retry.why},
        "next": [move(one) for one in found.moves],
    }


def node(found: Node) -> JsonObject:
    return {
        "name": found.name,
        "state": found.state,
        "why": found.why,
        "resource_id": found.resource_id,
        "execution_id": found.execution_id,
        "workflow_name": found.workflow,
        "operation": None if found.operation is None else found.operation.value,
        "provider": found.provider,
        "application_name": found.application,
        "environment": found.environment,
    }


def step(found: FailedStep) -> JsonObject:
    return {"step_name": found.name, "step_type": found.type, "attempt": found.attempt}


def move(found: Move) -> JsonObject:
    """What to do, with the arguments it needs and no others."""
    given: dict[str, Json] = {
        "execution_id": found.execution_id,
        "resource_id": found.resource_id,
        "step_name": found.step,
        "workflow_name": found.workflow,
        "application_name": found.application,
        "environment": found.environment,
    }
    return {"do": found.do.value, "why": found.why, **{key: value for key, value in given.items() if value}}
