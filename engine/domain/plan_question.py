"""What a plan is worked out from, and what both halves of the planner share."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.domain.plan import Action, PlanItem
from engine.domain.provider import Operation, Provider, Registry, ResourceType
from engine.domain.resource import Resource, ResourceKey
from engine.domain.spec import Place, Spec
from engine.domain.values import ApplicationId, JsonObject
from engine.errors import Problem

ParamsCheck = Callable[[ResourceType, JsonObject, Place], Sequence[Problem]]
Fingerprint = Callable[[JsonObject], str]
Recorded = Callable[[str], Provider | None]
"""From a digest to the provider as it was then, for what an inactive provider has made."""
Owner = tuple[Provider, ResourceType]


@dataclass(frozen=True, slots=True)
class Reference:
    """An application that refers to a resource, with the params it asks for."""

    application_id: ApplicationId
    application: str
    name: str
    params: JsonObject


@dataclass(frozen=True, slots=True)
class Current:
    """A resource that exists, and who refers to it."""

    resource: Resource
    references: tuple[Reference, ...] = ()

    def others(self, application: str) -> tuple[Reference, ...]:
        return tuple(reference for reference in self.references if reference.application != application)


@dataclass(frozen=True, slots=True)
class Question:
    """Everything a plan is worked out from.

    `current` holds this application's resources and those that the spec's ids name.
    """

    application: str
    environment: str
    registry: Registry
    current: Mapping[ResourceKey, Current]
    spec: Spec | None = None
    """None asks for the deletion of everything the application refers to."""
    prune: bool = False
    partial: bool = False
    """True when `spec` is an addition: there is no workload in it, and what it leaves out is not gone."""
    recorded: Recorded = field(default=lambda _digest: None)
    check_params: ParamsCheck = field(default=lambda _kind, _params, _place: ())
    fingerprint: Fingerprint = field(default=lambda params: hashlib.sha256(canonical(params)).hexdigest())


def canonical(value: object) -> bytes:
    """The one byte form of a JSON value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def with_operation(item: PlanItem, action: Action, operation: Operation, owner: Owner, *, reason: str) -> PlanItem:
    """The item as this operation by its provider's workflow; blocked when there is none."""
    provider, kind = owner
    workflows = kind.operations.get(operation)
    item = replace(item, provider=provider.name, version=provider.version, digest=provider.digest)
    if workflows is None:
        return replace(
            item,
            action=Action.BLOCKED,
            reason=f"provider `{provider.name}` has no {operation} workflow for `{kind.name}`"
            + ("; delete it and create it anew to change it" if operation is Operation.UPDATE else ""),
        )
    return replace(item, action=action, operation=operation, workflow=workflows.choose(), reason=reason)
