"""Why an execution or a resource failed: read from the records, classed by rules, the same every time."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from engine.domain import causes, expressions, remedies
from engine.domain.diagnosis import Also, Diagnosis, FailedStep, Fault
from engine.domain.execution import StepState
from engine.domain.log_window import around
from engine.domain.remedies import Standing
from engine.domain.values import ExecutionId, ResourceId
from engine.domain.workflow import Step
from engine.errors import Invalid, NotFound
from engine.services.descent import Descent, Link, ails, is_broken, newer_run, superseded
from engine.services.leftovers import MOST_NAMED, left_behind
from engine.services.platform import Platform
from engine.steps import registry
from engine.store import executions, failures, leavings, resources
from engine.store.database import Transaction
from engine.store.failures import FailedResource

_LOG_LETTERS = 64_000
_LINE = 300
_CONFIG_PATH = re.compile(r"(?:is not valid: |; )`([A-Za-z_][\w-]*)[^`]*`: ")


def of_execution(platform: Platform, execution_id: ExecutionId) -> Diagnosis | None:
    """None when it has not failed. Raises NotFound."""
    with platform.store.read() as tx:
        found = executions.get(tx, execution_id)
        if found is None:
            raise NotFound("execution", execution_id, hint="list_workflow_executions shows the newest.")
        if not is_broken(found):
            return None
        descent = Descent(tx)
        descent.into_execution(found, None if found.resource_id is None else resources.get(tx, found.resource_id))
        records = _records(tx, descent)
    return _told(platform, records)


def of_resource(platform: Platform, resource_id: ResourceId) -> Diagnosis | None:
    """None when it is neither failed for good, blocked nor degraded. Raises NotFound."""
    with platform.store.read() as tx:
        found = resources.get(tx, resource_id)
        if found is None:
            raise NotFound("resource", resource_id, hint="list_resources shows the ids.")
        if not ails(found):
            return None
        descent = Descent(tx)
        descent.into_resource(found)
        records = _records(tx, descent)
    return _told(platform, records)


@dataclass(frozen=True, slots=True)
class _Records:
    """All that is read: the way down, the deepest step's log, and how the application around it stands."""

    descent: Descent
    log: str
    states: Mapping[str, int]
    beside: tuple[FailedResource, ...]


def _records(tx: Transaction, descent: Descent) -> _Records:
    run, execution, resource = descent.step, descent.execution, descent.resource
    log = ""
    if run is not None and execution is not None:
        log = leavings.log_end(tx, execution.id, run.position, run.attempt, most=_LOG_LETTERS)
    if resource is None:
        return _Records(descent, log, {}, ())
    states = failures.states(tx, resource.application_id)
    beside = failures.of_application(tx, resource.application_id, limit=MOST_NAMED + len(descent.chain))
    return _Records(descent, log, states, tuple(beside))


def _told(platform: Platform, records: _Records) -> Diagnosis:
    descent = records.descent
    step = _definition(platform, descent)
    fault = _fault(records, step)
    finding = causes.classify(fault)
    standing = _standing(descent)
    retry = remedies.retry_of(fault, finding, standing)
    return Diagnosis(
        cause=finding.cause,
        evidence=finding.evidence,
        node=replace(standing.node, why=_one_line(standing.node.why)),
        step=fault.step,
        says=_one_line(finding.telling or fault.error or fault.reason),
        log=around(fault.log, finding.telling),
        chain=tuple(replace(node, why=_one_line(node.why)) for node in descent.chain),
        left_behind=tuple(left_behind(descent, fault, finding, step, records.states)),
        retry=retry,
        moves=remedies.moves_of(fault, finding, standing, retry),
        also=tuple(_also(records)),
    )


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"


def _definition(platform: Platform, descent: Descent) -> Step | None:
    """The step as its workflow has it; None when there is none, or its bundle is not there any more."""
    run, execution = descent.step, descent.execution
    if run is None or execution is None:
        return None
    try:
        return platform.providers.workflow(execution.digest, execution.workflow).step(run.name)
    except (NotFound, Invalid, StopIteration):
        return None


def _fault(records: _Records, step: Step | None) -> Fault:
    descent = records.descent
    if descent.step is None:
        return Fault(descent.error, descent.reason)
    looks = step is not None and step.idempotent is None and registry.only_looks(step.type, step.config)
    return Fault(
        error=descent.error,
        reason=descent.reason,
        log=records.log,
        step=FailedStep(descent.step.name, descent.step.type, descent.step.attempt),
        harmless=looks or (step is not None and registry.may_run_twice(step)),
        asks_params=step is not None and _asks_params(step, descent.error),
    )


def _asks_params(step: Step, error: str) -> bool:
    """Whether a config value that was not valid came from what was asked for."""
    keys = {match[1] for match in _CONFIG_PATH.finditer(error)}
    read = {path[0] for key in keys for path in expressions.references(step.config.get(key))}
    return bool(read & {"parameters", "resource"})


def _standing(descent: Descent) -> Standing:
    chain, links = descent.chain, descent.links
    node = chain[-1]
    repeats, again = [node], True
    for above, link in zip(reversed(chain[:-1]), reversed(links), strict=True):
        if link is Link.CHILD and again:
            repeats[-1] = above  # its own retry repeats what is below it
        elif link is Link.WAITS:
            repeats.append(above)
        again = link is not Link.BLOCKED
    asked = chain[0] if Link.CHILD in links or Link.WAITS in links else node
    resource, run = descent.resource, descent.execution
    newer = newer_run(resource, run)
    return Standing(node, asked, superseded(resource, run), newer, tuple(repeats), descent.mended)


def _also(records: _Records) -> Iterator[Also]:
    """What failed beside the cause, not because of it."""
    descent = records.descent
    others = [run for run in descent.runs if run.state is StepState.FAILED and run is not descent.step]
    attempt = descent.execution.attempt if descent.execution else 0
    for run in [run for run in others if run.execution_attempt == attempt][:MOST_NAMED]:
        yield Also(f"step `{run.name}`", _one_line(run.error))
    shown = {node.resource_id for node in descent.chain}
    for one in [one for one in records.beside if one.id not in shown and one.error][:MOST_NAMED]:
        yield Also(f"resource `{one.key}`", _one_line(one.error), one.id)
