"""A needed thing, its states, and what the end of a run does to it."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from engine.domain.place import Place
from engine.domain.provider import Operation
from engine.domain.values import ApplicationId, ExecutionId, Json, JsonObject, ResourceId
from engine.errors import Conflict


class ResourceState(StrEnum):
    REQUESTED = "requested"
    BLOCKED = "blocked"
    """Wanted, but something it depends on has failed."""
    PROVISIONING = "provisioning"
    ACTIVE = "active"
    DEGRADED = "degraded"
    """Provisioned, but its health check fails."""
    UPDATING = "updating"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    FAILED = "failed"


_S = ResourceState
TRANSITIONS: dict[ResourceState, frozenset[ResourceState]] = {
    _S.REQUESTED: frozenset({_S.PROVISIONING, _S.BLOCKED, _S.TERMINATING, _S.TERMINATED}),
    _S.BLOCKED: frozenset({_S.REQUESTED, _S.TERMINATING, _S.TERMINATED}),
    _S.PROVISIONING: frozenset({_S.ACTIVE, _S.FAILED}),
    _S.ACTIVE: frozenset({_S.UPDATING, _S.DEGRADED, _S.TERMINATING, _S.TERMINATED}),
    _S.DEGRADED: frozenset({_S.UPDATING, _S.ACTIVE, _S.TERMINATING, _S.TERMINATED}),
    _S.UPDATING: frozenset({_S.ACTIVE, _S.FAILED}),
    _S.TERMINATING: frozenset({_S.TERMINATED, _S.FAILED}),
    _S.FAILED: frozenset(
        {_S.PROVISIONING, _S.UPDATING, _S.TERMINATING, _S.ACTIVE, _S.TERMINATED},
    ),
    _S.TERMINATED: frozenset({_S.REQUESTED}),
}
"""Everything else is refused. `failed → active|terminated` is a person setting a left-over straight (`resolve`);
`requested|blocked|active|degraded → terminated` is forgetting: nothing was made, or it is retained;
`terminated → requested` is the same identity wanted again."""

IN_PROGRESS = frozenset({_S.PROVISIONING, _S.UPDATING, _S.TERMINATING})
PROVISIONED = frozenset({_S.ACTIVE, _S.DEGRADED})
UNMADE = frozenset({_S.REQUESTED, _S.BLOCKED})

AWAITS_TURN = "awaits_turn"
"""The reason of a failed resource whose operation is asked for again and starts once others are out of its way."""

STATE_OF_OPERATION: dict[Operation, ResourceState] = {
    Operation.CREATE: _S.PROVISIONING,
    Operation.UPDATE: _S.UPDATING,
    Operation.DELETE: _S.TERMINATING,
}
_END_STATE = {
    Operation.CREATE: _S.ACTIVE,
    Operation.UPDATE: _S.ACTIVE,
    Operation.DELETE: _S.TERMINATED,
}


def check_transition(before: ResourceState, after: ResourceState, *, subject: str = "resource") -> None:
    """Raise Conflict unless a resource may go from `before` to `after`."""
    if after not in TRANSITIONS[before]:
        allowed = ", ".join(sorted(TRANSITIONS[before])) or "nothing"
        raise Conflict(
            f"{subject} cannot go from `{before}` to `{after}`.",
            code="illegal_transition",
            hint=f"From `{before}` it can go to: {allowed}.",
        )


@dataclass(frozen=True, slots=True, order=True)
class ResourceKey:
    """What makes two declarations the same resource (Score: type, class, id), within one environment."""

    environment: str
    type: str
    resource_class: str
    id: str

    def __str__(self) -> str:
        middle = "" if self.resource_class == "default" else f".{self.resource_class}"
        return f"{self.type}{middle}/{self.id}"


class Standing(NamedTuple):
    """How a resource stands: what the status of its applications is made of."""

    state: ResourceState
    pending: Operation | None
    reason: str

    @property
    def settled(self) -> bool:
        """Provisioned, and nothing newer is wanted."""
        return self.state in PROVISIONED and self.pending is None

    @property
    def awaits_turn(self) -> bool:
        """Failed, but asked for again: it starts by itself once what it waits for is there."""
        return self.state is ResourceState.FAILED and self.reason == AWAITS_TURN


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as it stands. `params` are as written by the newest submission; `outputs` as of the last success."""

    id: ResourceId
    key: ResourceKey
    application_id: ApplicationId
    application: str
    name: str
    params: JsonObject
    state: ResourceState
    provider: str
    digest: str
    workflow: str = ""
    """The workflow of the pending operation, or of the last one."""
    pending: Operation | None = None
    desired_generation: int = 1
    observed_generation: int = 0
    fingerprint: str = ""
    """Keyed fingerprint of the params the last successful run was given, resolved."""
    outputs: JsonObject = field(default_factory=dict[str, Json])
    secret_outputs: frozenset[str] = frozenset()
    place: Place | None = None
    """Where it lives, when that is in a data directory and known."""
    execution_id: ExecutionId | None = None
    blocked_by: ResourceId | None = None
    error: str = ""
    reason: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def in_progress(self) -> bool:
        return self.state in IN_PROGRESS

    @property
    def standing(self) -> Standing:
        return Standing(self.state, self.pending, self.reason)

    @property
    def settled(self) -> bool:
        return self.standing.settled

    @property
    def awaits_turn(self) -> bool:
        return self.standing.awaits_turn

    def moved(self, state: ResourceState, *, error: str = "", reason: str = "") -> "Resource":
        """The same resource in another state; refuses what the table does not allow."""
        check_transition(self.state, state, subject=f"Resource `{self.key}`")
        return replace(self, state=state, error=error, reason=reason)


def ask_anew(resource: Resource) -> Resource:
    """The failed resource, wanted otherwise than before: it awaits its turn, and why it failed is history."""
    return replace(resource, reason=AWAITS_TURN, error="")


class Outcome(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How the run of one operation for one generation ended."""

    operation: Operation
    generation: int
    outcome: Outcome
    outputs: JsonObject = field(default_factory=dict[str, Json])
    secret_outputs: frozenset[str] = frozenset()
    fingerprint: str = ""
    error: str = ""
    place: Place | None = None
    """Where it ran, when what its provider makes lives in that place."""


def start(resource: Resource) -> Resource:
    """The resource with its pending operation under way."""
    if resource.pending is None:
        raise Conflict(f"Resource `{resource.key}` has no pending operation.", code="nothing_pending")
    return replace(resource.moved(STATE_OF_OPERATION[resource.pending]), blocked_by=None)


def settle(resource: Resource, end: RunEnd) -> Resource:
    """What the resource is after a run: state, outputs, and the next operation when something newer is wanted."""
    if end.operation is Operation.READ:
        return _checked(resource, end)
    if end.outcome is not Outcome.SUCCEEDED:
        reason = "cancelled" if end.outcome is Outcome.CANCELLED else "failed"
        return replace(
            resource.moved(ResourceState.FAILED, error=end.error, reason=reason),
            pending=_after_failure(resource, end),
            place=_place(resource, end),
        )
    after = replace(
        resource.moved(_END_STATE[end.operation]),
        observed_generation=end.generation,
        pending=_after_success(resource, end),
        fingerprint=end.fingerprint,
        place=_place(resource, end),
    )
    if end.operation is Operation.DELETE:
        after = replace(after, outputs={}, secret_outputs=frozenset(), fingerprint="")
        return replace(after.moved(ResourceState.REQUESTED), pending=after.pending) if after.pending else after
    return replace(after, outputs=end.outputs, secret_outputs=end.secret_outputs)


def _place(resource: Resource, end: RunEnd) -> Place | None:
    """Where the resource lives after a run. A create that failed may have left something where it ran."""
    if end.operation is Operation.CREATE:
        return end.place or resource.place
    if end.outcome is not Outcome.SUCCEEDED:
        return resource.place
    return None if end.operation is Operation.DELETE else resource.place or end.place


def _checked(resource: Resource, end: RunEnd) -> Resource:
    """A health check moves only between active and degraded, and never against an operation under way.

    One that ran where the resource does not live has seen nothing.
    """
    if end.place is not None and resource.place is not None and not end.place.is_same(resource.place):
        return resource
    resource = replace(resource, place=_place(resource, end))
    healthy = end.outcome is Outcome.SUCCEEDED
    if resource.state is ResourceState.ACTIVE and end.outcome is Outcome.FAILED:
        return resource.moved(ResourceState.DEGRADED, error=end.error, reason="unhealthy")
    if resource.state is ResourceState.DEGRADED and healthy:
        return resource.moved(ResourceState.ACTIVE)
    return resource


def _after_success(resource: Resource, end: RunEnd) -> Operation | None:
    """What is still wanted once `end.generation` is reached."""
    if resource.desired_generation <= end.generation:
        return None
    if resource.pending is Operation.DELETE:
        return None if end.operation is Operation.DELETE else Operation.DELETE
    return Operation.CREATE if end.operation is Operation.DELETE else Operation.UPDATE


def _after_failure(resource: Resource, end: RunEnd) -> Operation:
    """The operation a retry repeats: the one that failed, or the deletion that was asked for meanwhile."""
    if resource.desired_generation > end.generation and resource.pending is not None:
        newer = resource.pending
        return end.operation if newer is Operation.UPDATE and end.operation is Operation.CREATE else newer
    return end.operation


def withdraw(resource: Resource, *, error: str = "") -> Resource:
    """The resource whose deletion, which has not begun, is not wanted any more; what it missed is pending instead.

    One that had failed before has failed again: `error` is what was told of that.
    """
    if resource.state is ResourceState.FAILED:
        failed = Operation.UPDATE if resource.fingerprint else Operation.CREATE
        return replace(resource, pending=failed, blocked_by=None, reason="failed", error=resource.error or error)
    if resource.desired_generation - resource.observed_generation > 1:
        return replace(resource, pending=Operation.UPDATE, blocked_by=None)
    return replace(resource, pending=None, blocked_by=None, observed_generation=resource.desired_generation)


def resolve(resource: Resource, *, as_state: ResourceState) -> Resource:
    """A person sets a left-over straight: `active` or `terminated`, from `failed` only."""
    if resource.state is not ResourceState.FAILED:
        raise Conflict(
            f"Resource `{resource.key}` is `{resource.state}`; only a failed resource can be resolved.",
            code="not_failed",
        )
    after = replace(resource.moved(as_state, reason="resolved"), pending=None, blocked_by=None)
    place = None if as_state is ResourceState.TERMINATED else resource.place
    return replace(after, observed_generation=resource.desired_generation, place=place)
