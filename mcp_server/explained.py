"""Why something failed, in an answer: concise, and what to do next as calls that the client can make."""

from collections.abc import Iterator

from engine.domain.diagnosis import Diagnosis, Do, Move, Node, RetrySafety
from engine.domain.values import Json, JsonObject
from mcp_server.answers import call
from mcp_server.house import LONGEST_WAIT
from mcp_server.toolsets import enabled


def explained(why: Diagnosis | None, *, asked: str = "", logs_of: str | None = None) -> JsonObject:
    """`explain` and `next` for an answer about what `why` was asked of; nothing where nothing failed.

    `asked` is the call that is being answered: `next` does not send back to it. `logs_of` is the step whose log the
    answer has, "" for every failed one: such a log is neither repeated nor asked for again.
    """
    if why is None:
        return {}
    step = why.step.name if why.step else ""
    beside = logs_of in {"", step} and why.node == why.chain[0]
    found: JsonObject = {
        "cause": why.cause.value,
        "decided_by": why.evidence,
        "failed": _named(why.node),
        "step": f"{why.step.name} ({why.step.type}), attempt {why.step.attempt}" if why.step else "",
        "says": why.says,
        "because": [f"{node.name}: {node.why}" for node in why.chain[:-1]],
        "also_failed": [f"{one.name}: {one.says}" for one in why.also],
        "left_behind": [f"{one.name}: {one.how}" for one in why.left_behind],
        "retry": f"{why.retry.safety}: {why.retry.why}",
        "log": f"{why.log}\n" if why.log and not beside else "",
    }
    kept: JsonObject = {name: value for name, value in found.items() if value not in ("", [])}
    following = dict.fromkeys(_next(why, log_shown=beside))
    following.pop(asked, None)
    return {"explain": kept, "next": list[Json](following)}


def _named(node: Node) -> str:
    run = f"execution {node.execution_id} ({node.workflow})" if node.execution_id is not None else ""
    resource = f"resource {node.resource_id} ({node.resource})" if node.resource_id is not None else ""
    return ", ".join(part for part in (resource, run) if part)


def _next(why: Diagnosis, *, log_shown: bool) -> Iterator[str]:
    for move in why.moves:
        if log_shown and move.do is Do.READ_LOG and move.execution_id == why.node.execution_id:
            continue
        yield from _calls(move) if move.do in _LOOKS else [_words(move, why.retry.safety)]
    if why.node.resource_id is not None and enabled("get_resource_details"):
        yield call("get_resource_details", resource_id=why.node.resource_id)


_LOOKS = frozenset({Do.READ_LOG, Do.SEE_RESOURCE, Do.SEE_EXECUTION})


def _calls(move: Move) -> Iterator[str]:
    """How to look closer, where the client may."""
    if move.do is Do.READ_LOG and enabled("get_workflow_status"):
        yield call("get_workflow_status", execution_id=move.execution_id, logs="tail", step=move.step)
    elif move.do is Do.SEE_EXECUTION and enabled("get_workflow_status"):
        yield call("get_workflow_status", execution_id=move.execution_id)
    elif move.do is Do.SEE_RESOURCE and enabled("get_resource_details"):
        yield call("get_resource_details", resource_id=move.resource_id)


def _words(move: Move, safety: RetrySafety) -> str:
    """A call where a tool does it and is offered; else what a person does."""
    match move.do:
        case Do.CORRECT_SPEC:
            ready = "submit_spec(spec_yaml=<corrected>, dry_run=true)"
            return ready if enabled("submit_spec") else "a person submits a corrected spec"
        case Do.RUN_AGAIN:
            again = call("execute_workflow", workflow_name=move.workflow, wait_seconds=LONGEST_WAIT)
            corrected = again.replace(", ", ", inputs=<corrected>, ", 1)
            return corrected if enabled("execute_workflow") else "a person runs it again with corrected inputs"
        case Do.RETRY_RESOURCE | Do.RETRY_EXECUTION:
            return _repeat(move, safety)
        case Do.RESOLVE_RESOURCE:
            command = f"innominatus-ctl resource resolve {move.resource_id} --as active|gone"
            return f"a person who has looked after it by hand can say so: {command}"
        case _:
            return move.why


def _repeat(move: Move, safety: RetrySafety) -> str:
    look = "once a person has looked at what it did: " if safety is RetrySafety.UNSAFE else ""
    if move.execution_id is not None:
        return f"{look}{retrying(move.execution_id)}"
    if enabled("retry"):
        return look + call("retry", resource_id=move.resource_id, wait_seconds=LONGEST_WAIT)
    return f"{look}a person can run: innominatus-ctl resource retry {move.resource_id}"


def retrying(execution_id: int) -> str:
    """How a failed execution is taken up again, once its cause is gone."""
    if enabled("retry"):
        return call("retry", execution_id=execution_id, wait_seconds=LONGEST_WAIT)
    return f"after the cause is gone, a person can run: innominatus-ctl workflow retry {execution_id}"
