"""A retry, with a word of warning where the diagnosis speaks against it: it runs, since a person may know better."""

from typing import NamedTuple

from engine.domain.diagnosis import Diagnosis, RetrySafety
from engine.domain.values import Actor, ExecutionId, ResourceId
from engine.services import diagnosis, executions, resources
from engine.services.platform import Platform

_SAME = "What is asked for has not changed since it failed, and so the diagnosis says that a retry alone is pointless:"


class Retried(NamedTuple):
    execution_id: ExecutionId
    warning: str
    """Why it will hardly help; empty where it may."""


def retry_execution(platform: Platform, actor: Actor, execution_id: ExecutionId) -> Retried:
    """Raises what `executions.retry` raises."""
    why = diagnosis.of_execution(platform, execution_id)
    return _warned(why, executions.retry(platform, actor, execution_id))


def retry_resource(platform: Platform, actor: Actor, resource_id: ResourceId) -> Retried:
    """Raises what `resources.retry` raises."""
    why = diagnosis.of_resource(platform, resource_id)
    return _warned(why, resources.retry(platform, actor, resource_id))


def _warned(why: Diagnosis | None, started: ExecutionId) -> Retried:
    """Another execution than the one that failed does something newer: nothing is known against that."""
    same = why is not None and why.chain[0].execution_id == started
    if why is None or not same or why.retry.safety is not RetrySafety.POINTLESS:
        return Retried(started, "")
    return Retried(started, f"{_SAME} {why.retry.why}")
