"""Resources, who refers to them, and what they depend on."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from engine.domain import place
from engine.domain.planner import Current, Reference
from engine.domain.provider import Operation
from engine.domain.resource import Resource, ResourceKey, ResourceState, Standing
from engine.domain.values import ApplicationId, JsonObject, ResourceId
from engine.store.among import among, found_by
from engine.store.bulk import insert_numbered, insert_rows
from engine.store.database import Transaction
from engine.store.tables import RESOURCE_STANDING, applications, resource_references, resources

_PARAMS = "resources.params"
_OUTPUTS = "resources.outputs"
_SELECT = sa.select(
    resources.c.id, resources.c.environment, resources.c.type, resources.c.resource_class, resources.c.identity,
    resources.c.application_id, applications.c.name.label("application"), resources.c.name, resources.c.params_sealed,
    resources.c.state, resources.c.provider, resources.c.digest, resources.c.workflow, resources.c.pending,
    resources.c.desired_generation, resources.c.observed_generation, resources.c.fingerprint,
    resources.c.outputs_sealed, resources.c.execution_id, resources.c.blocked_by, resources.c.error,
    resources.c.reason, resources.c.place, resources.c.created_at, resources.c.updated_at,
).join(applications, applications.c.id == resources.c.application_id)  # fmt: skip
"""Every row that `resource_of` reads comes from this: taken apart at once, which is quicker than name by name."""
_STATES = {state.value: state for state in ResourceState}
_OPERATIONS = {None: None, **{operation.value: operation for operation in Operation}}


def resource_of(tx: Transaction, row: Any) -> Resource:
    (
        number, environment, kind, resource_class, identity, application_id, application, name, params_sealed,
        state, provider, digest, workflow, pending, desired, observed, fingerprint,
        outputs_sealed, execution_id, blocked_by, error, reason, where, created_at, updated_at, *_,
    ) = row  # fmt: skip
    outputs: Any = {} if outputs_sealed is None else tx.sealer.open_json(outputs_sealed, _OUTPUTS)
    params: Any = tx.sealer.open_json(params_sealed, _PARAMS)
    return Resource(
        id=number,
        key=ResourceKey(environment, kind, resource_class, identity),
        application_id=application_id,
        application=application,
        name=name,
        params=params,
        state=_STATES[state],
        provider=provider,
        digest=digest,
        workflow=workflow,
        pending=_OPERATIONS[pending],
        desired_generation=desired,
        observed_generation=observed,
        fingerprint=fingerprint,
        outputs=outputs.get("values", {}),
        secret_outputs=frozenset(outputs.get("secret", ())),
        place=place.parse(where),
        execution_id=execution_id,
        blocked_by=blocked_by,
        error=error,
        reason=reason,
        created_at=created_at,
        updated_at=updated_at,
    )


def _columns(tx: Transaction, resource: Resource) -> dict[str, object]:
    """Every column a transition may change."""
    outputs = {"values": resource.outputs, "secret": sorted(resource.secret_outputs)}
    return {
        "application_id": resource.application_id,
        "name": resource.name,
        "params_sealed": tx.sealer.seal_json(resource.params, _PARAMS),
        "state": resource.state.value,
        "pending": None if resource.pending is None else resource.pending.value,
        "desired_generation": resource.desired_generation,
        "observed_generation": resource.observed_generation,
        "provider": resource.provider,
        "digest": resource.digest,
        "workflow": resource.workflow,
        "fingerprint": resource.fingerprint,
        "outputs_sealed": tx.sealer.seal_json(outputs, _OUTPUTS) if resource.outputs else None,
        "execution_id": resource.execution_id,
        "blocked_by": resource.blocked_by,
        "error": resource.error,
        "reason": resource.reason,
        "place": "" if resource.place is None else str(resource.place),
        "updated_at": tx.now,
    }


def insert(tx: Transaction, new: Sequence[Resource]) -> list[ResourceId]:
    """Insert in the order given; the ids come back in that order and rise. The arguments' own ids are ignored."""
    if not new:
        return []
    rows = [
        {
            "environment": resource.key.environment,
            "type": resource.key.type,
            "resource_class": resource.key.resource_class,
            "identity": resource.key.id,
            "created_at": tx.now,
            **_columns(tx, resource),
        }
        for resource in new
    ]
    return [ResourceId(value) for value in insert_numbered(tx, resources, rows)]


_SAVE = (
    sa.update(resources)
    .where(resources.c.id == sa.bindparam("b_id"))
    .values(
        {
            name: sa.bindparam(f"b_{name}")
            for name in (
                "application_id", "name", "params_sealed", "state", "pending", "desired_generation",
                "observed_generation", "provider", "digest", "workflow", "fingerprint", "outputs_sealed",
                "execution_id", "blocked_by", "error", "reason", "place", "updated_at",
            )
        }
    )
)  # fmt: skip


def save(tx: Transaction, changed: Iterable[Resource]) -> None:
    """Write resources back, in the order of their ids."""
    rows = [
        {"b_id": resource.id, **{f"b_{name}": value for name, value in _columns(tx, resource).items()}}
        for resource in sorted(changed, key=lambda resource: resource.id)
    ]
    if rows:
        tx.connection.execute(_SAVE, rows)


def lock(tx: Transaction, ids: Iterable[ResourceId]) -> dict[ResourceId, Resource]:
    """Read resources and lock them against other writers, always in the order of ids."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    found: dict[ResourceId, Resource] = {}
    for start in range(0, len(wanted), _CHUNK):
        found |= {
            ResourceId(row.id): resource_of(tx, row)
            for row in tx.connection.execute(_LOCK, {"ids": wanted[start : start + _CHUNK]})
        }
    return found


_CHUNK = 500
_BY_IDS = _SELECT.where(among(resources.c.id, "ids"))
_LOCK = _BY_IDS.order_by(resources.c.id).with_for_update(of=resources)
"""SQLite knows no such locks and leaves them out: its one writer has them all."""


def blocked_by(tx: Transaction, roots: Iterable[ResourceId]) -> set[ResourceId]:
    """What any of `roots` blocks."""
    return {ResourceId(value) for value in tx.connection.execute(_BLOCKED, {"ids": sorted(roots)}).scalars()}


_BLOCKED = sa.select(resources.c.id).where(among(resources.c.blocked_by, "ids"))


def get(tx: Transaction, resource_id: ResourceId) -> Resource | None:
    row = tx.connection.execute(_BY_ID, {"id": resource_id}).one_or_none()
    return None if row is None else resource_of(tx, row)


_BY_ID = _SELECT.where(resources.c.id == sa.bindparam("id"))


def of_application(tx: Transaction, application_id: ApplicationId) -> list[Resource]:
    """The resources that the application refers to, by rising id."""
    return [resource_of(tx, row) for row in tx.connection.execute(_OF_APPLICATION, {"application": application_id})]


_REFERRED = sa.select(resource_references.c.resource_id).where(
    resource_references.c.application_id == sa.bindparam("application")
)
_OF_APPLICATION = _SELECT.where(found_by(resources.c.id, _REFERRED)).order_by(resources.c.id)


def standings(tx: Transaction, ids: Sequence[ApplicationId]) -> dict[ApplicationId, Counter[Standing]]:
    """How many of the resources that each application refers to stand how."""
    found: dict[ApplicationId, Counter[Standing]] = {}
    for row in tx.connection.execute(_STANDINGS, {"ids": ids}).all():
        application_id, state, pending, reason, count = row
        found.setdefault(application_id, Counter())[Standing(_STATES[state], _OPERATIONS[pending], reason)] += count
    return found


_THEIRS = among(resource_references.c.application_id, "ids")
_HOW = (resource_references.c.application_id, resources.c.state, resources.c.pending, resources.c.reason)
_STANDINGS = (
    sa.select(*_HOW, sa.func.count(resource_references.c.resource_id.distinct()))
    .join(resources, resources.c.id == resource_references.c.resource_id)
    .where(_THEIRS, found_by(resources.c.id, sa.select(resource_references.c.resource_id).where(_THEIRS)))
    .group_by(*_HOW)
)


def listed(
    tx: Transaction,
    *,
    application: str | None = None,
    environment: str | None = None,
    resource_type: str | None = None,
    state: ResourceState | None = None,
    include_terminated: bool = False,
    after: int = 0,
    limit: int = 100,
) -> list[Resource]:
    """Resources by rising id."""
    given = {"after": after, "limit": limit, "application": application, "environment": environment}
    query = _list(
        application=application is not None,
        environment=environment is not None,
        resource_type=resource_type is not None,
        state=state,
        include_terminated=include_terminated,
    )
    asked = {name: value for name, value in {**given, "type": resource_type}.items() if value is not None}
    return [resource_of(tx, row) for row in tx.connection.execute(query, asked).all()]


@lru_cache(maxsize=256)
def _list(
    *, application: bool, environment: bool, resource_type: bool, state: ResourceState | None, include_terminated: bool
) -> sa.Select[*tuple[Any, ...]]:
    """The statement of one way to ask: putting it together each time would cost as much as carrying it out."""
    query = _SELECT.where(resources.c.id > sa.bindparam("after", type_=sa.BigInteger))
    query = query.order_by(resources.c.id).limit(sa.bindparam("limit", type_=sa.Integer))
    if application:
        named, owned = applications.alias("named"), resources.alias("owned")
        its_name = named.c.name == sa.bindparam("application")
        referred = sa.select(resource_references.c.resource_id).where(
            its_name, resource_references.c.application_id == named.c.id
        )
        its = sa.select(owned.c.id).where(its_name, owned.c.application_id == named.c.id)
        query = query.where(resources.c.id.in_(referred.union(its)))
    if environment:
        query = query.where(resources.c.environment == sa.bindparam("environment"))
    if resource_type:
        query = query.where(resources.c.type == sa.bindparam("type"))
    if state is not None:
        return query.where(resources.c.state == state.value)
    return query if include_terminated else query.where(RESOURCE_STANDING)


def counts(tx: Transaction) -> dict[tuple[str, str], int]:
    """How many resources per (type, state); those that are gone are not counted."""
    query = sa.select(resources.c.type, resources.c.state, sa.func.count()).where(RESOURCE_STANDING)
    query = query.group_by(resources.c.type, resources.c.state)
    return {(row[0], row[1]): row[2] for row in tx.connection.execute(query)}


def ids_by_key(tx: Transaction, environment: str, keys: Iterable[ResourceKey]) -> dict[ResourceKey, ResourceId]:
    """The ids of the resources that exist under these identities."""
    identities = sorted({key.id for key in keys})
    found: dict[ResourceKey, ResourceId] = {}
    wanted = set(keys)
    for start in range(0, len(identities), _CHUNK):
        given = {"environment": environment, "identities": identities[start : start + _CHUNK]}
        for row in tx.connection.execute(_IDENTIFIED, given):
            key = ResourceKey(environment, row.type, row.resource_class, row.identity)
            if key in wanted:
                found[key] = ResourceId(row.id)
    return found


_IDENTIFIED = sa.select(resources.c.id, resources.c.type, resources.c.resource_class, resources.c.identity).where(
    resources.c.environment == sa.bindparam("environment"),
    resources.c.identity.in_(sa.bindparam("identities", expanding=True)),
)


def currents(
    tx: Transaction,
    application_id: ApplicationId | None,
    environment: str,
    keys: Iterable[ResourceKey],
    *,
    locked: bool,
) -> dict[ResourceKey, Current]:
    """What exists of an application and under the given identities, with everyone who refers to it."""
    ids = set(ids_by_key(tx, environment, keys).values())
    if application_id is not None:
        mine = tx.connection.execute(_REFERRED, {"application": application_id}).scalars()
        ids |= {ResourceId(value) for value in mine}
    found = lock(tx, ids) if locked else by_ids(tx, ids)
    referring = references(tx, ids)
    return {resource.key: Current(resource, tuple(referring.get(resource.id, ()))) for resource in found.values()}


def rows(tx: Transaction, ids: Collection[int]) -> dict[int, Any]:
    """The rows of these resources, for `resource_of`."""
    found: dict[int, Any] = {}
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), _CHUNK):
        found |= {row.id: row for row in tx.connection.execute(_BY_IDS, {"ids": wanted[start : start + _CHUNK]})}
    return found


def by_ids(tx: Transaction, ids: Collection[ResourceId]) -> dict[ResourceId, Resource]:
    return {ResourceId(resource_id): resource_of(tx, row) for resource_id, row in rows(tx, ids).items()}


def references(tx: Transaction, ids: Iterable[ResourceId]) -> dict[ResourceId, list[Reference]]:
    """Who refers to each resource."""
    wanted = sorted(ids)
    found: dict[ResourceId, list[Reference]] = {}
    for start in range(0, len(wanted), _CHUNK):
        for row in tx.connection.execute(_REFERENCES, {"ids": wanted[start : start + _CHUNK]}):
            params: Any = tx.sealer.open_json(row.params_sealed, _PARAMS)
            reference = Reference(ApplicationId(row.application_id), row.application, row.name, params)
            found.setdefault(ResourceId(row.resource_id), []).append(reference)
    return found


_REFERENCES = (
    sa.select(resource_references, applications.c.name.label("application"))
    .join(applications, applications.c.id == resource_references.c.application_id)
    .where(among(resource_references.c.resource_id, "ids"))
    .order_by(applications.c.name, resource_references.c.name)
)


def set_references(
    tx: Transaction,
    application_id: ApplicationId,
    wanted: Iterable[tuple[ResourceId, str, JsonObject]],
    *,
    drop: Iterable[ResourceId] = (),
    new: Collection[ResourceId] = (),
) -> None:
    """Write an application's references: every (resource, name, params) wanted, none for the resources in `drop`.

    Nobody refers to the `new` ones yet.
    """
    ordered = sorted(wanted, key=lambda item: (item[0], item[1]))
    replaced = sorted({item[0] for item in ordered if item[0] not in new} | set(drop))
    for start in range(0, len(replaced), _CHUNK):
        given = {"application": application_id, "ids": replaced[start : start + _CHUNK]}
        tx.connection.execute(_DROP_REFERENCES, given)
    insert_rows(
        tx,
        resource_references,
        [
            {
                "resource_id": resource_id,
                "application_id": application_id,
                "name": name,
                "params_sealed": tx.sealer.seal_json(params, _PARAMS),
            }
            for resource_id, name, params in ordered
        ],
    )


_DROP_REFERENCES = sa.delete(resource_references).where(
    resource_references.c.application_id == sa.bindparam("application"),
    among(resource_references.c.resource_id, "ids"),
)


def named(tx: Transaction, application_id: ApplicationId, names: Collection[str] | None = None) -> dict[str, Resource]:
    """The resources of an application by every name its spec gives them; with `names` only those."""
    query = _SELECT.add_columns(resource_references.c.name.label("reference"))
    query = query.join(resource_references, resource_references.c.resource_id == resources.c.id)
    query = query.where(resource_references.c.application_id == application_id)
    if names is None:
        return {row.reference: resource_of(tx, row) for row in tx.connection.execute(query)}
    found: dict[str, Resource] = {}
    wanted = sorted(names)
    for start in range(0, len(wanted), _CHUNK):
        some = query.where(resource_references.c.name.in_(wanted[start : start + _CHUNK]))
        found |= {row.reference: resource_of(tx, row) for row in tx.connection.execute(some)}
    return found


def touch_checked(tx: Transaction, ids: Iterable[ResourceId]) -> None:
    """Note that a health check of these resources has been asked for."""
    tx.connection.execute(sa.update(resources).where(among(resources.c.id, sorted(ids))).values(checked_at=tx.now))
