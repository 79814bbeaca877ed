"""Applications and the specs submitted for them."""

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from engine.domain.application import Application, SubmittedVersion
from engine.domain.values import ApplicationId, ResourceId, SpecId
from engine.store.among import among
from engine.store.database import Transaction
from engine.store.likeness import ESCAPE, escaped
from engine.store.tables import applications, resource_references, specs
from engine.store.types import moment
from engine.store.upsert import insert

_SOURCE = "specs.source"


_COLUMNS = tuple(applications.c[field.name] for field in fields(Application))
_SELECT = sa.select(*_COLUMNS)


def _application(row: Any) -> Application:
    return Application(*row)


def find(tx: Transaction, name: str, environment: str, *, lock: bool = False) -> Application | None:
    """The application, deleted or not. With `lock`, submissions of the same application wait for this transaction."""
    row = tx.connection.execute(_FIND_LOCKED if lock else _FIND, {"name": name, "environment": environment})
    found = row.one_or_none()
    return None if found is None else _application(found)


_FIND = _SELECT.where(
    applications.c.name == sa.bindparam("name"), applications.c.environment == sa.bindparam("environment")
)
_FIND_LOCKED = _FIND.with_for_update()


def get(tx: Transaction, application_id: ApplicationId, *, lock: bool = False) -> Application:
    query = _SELECT.where(applications.c.id == application_id)
    return _application(tx.connection.execute(query.with_for_update() if lock else query).one())


def due(tx: Transaction, *, limit: int) -> list[ApplicationId]:
    """Those whose time is over, the longest overdue first."""
    query = sa.select(applications.c.id).where(applications.c.expires_at <= tx.now)
    found = tx.connection.execute(query.order_by(applications.c.expires_at).limit(limit)).scalars()
    return [ApplicationId(value) for value in found]


def set_expiry(tx: Transaction, application_id: ApplicationId, expires_at: datetime | None) -> None:
    tx.connection.execute(
        sa.update(applications).where(applications.c.id == application_id).values(expires_at=expires_at)
    )


class Ensured(NamedTuple):
    """`new`: it was made just now, so that nothing of it is on record. SQLite does not tell, and says False."""

    application: Application
    new: bool


def ensure(tx: Transaction, name: str, environment: str, *, actor: str) -> Ensured:
    """The application, locked, alive again if deleted, made if new. Two callers at once get the same row."""
    given = {"name": name, "environment": environment, "created_by": actor, **tx.moment}
    row = tx.connection.execute(_ensure(postgresql=tx.postgresql), given).one()
    tx.knows(row.now)
    return Ensured(_application(row[: len(_COLUMNS)]), bool(row.inserted))


@lru_cache
def _ensure(*, postgresql: bool) -> sa.Executable:
    now = moment()
    wanted = insert(applications, postgresql=postgresql).values(
        name=sa.bindparam("name"),
        environment=sa.bindparam("environment"),
        created_by=sa.bindparam("created_by"),
        created_at=now,
        updated_at=now,
    )
    alive = {"updated_at": wanted.excluded.updated_at, "deleted_at": None}
    made = wanted.on_conflict_do_update(index_elements=["name", "environment"], set_=alive)
    inserted: sa.ColumnElement[Any] = sa.literal_column(
        "xmax = 0" if postgresql else "0"
    )  # a row that was updated has been locked before
    return made.returning(*_COLUMNS, inserted.label("inserted"), now.label("now"))


def mark_deleted(tx: Transaction, application_id: ApplicationId) -> None:
    tx.connection.execute(
        sa.update(applications)
        .where(applications.c.id == application_id)
        .values(deleted_at=tx.now, updated_at=tx.now, expires_at=None)
    )


def stand_again(tx: Transaction, kept: Collection[ResourceId]) -> None:
    """Deleted applications that refer to one of `kept`, which is not to be deleted any more, are there again."""
    referring = sa.select(resource_references.c.application_id).where(among(resource_references.c.resource_id, kept))
    tx.connection.execute(
        sa.update(applications)
        .where(applications.c.id.in_(referring), applications.c.deleted_at.is_not(None))
        .values(deleted_at=None, updated_at=tx.now)
    )


def listed(
    tx: Transaction,
    *,
    environment: str | None = None,
    search: str = "",
    after: int = 0,
    limit: int = 100,
    include_deleted: bool = False,
) -> list[Application]:
    """Applications by rising id; deleted ones only while they have resources, or with `include_deleted`."""
    given: dict[str, object] = {"after": after, "limit": limit}
    if environment is not None:
        given["environment"] = environment
    if search:
        given["search"] = escaped(search)
    query = _list(environment=environment is not None, search=bool(search), include_deleted=include_deleted)
    return [_application(row) for row in tx.connection.execute(query, given).all()]


@lru_cache
def _list(*, environment: bool, search: bool, include_deleted: bool) -> sa.Select[*tuple[Any, ...]]:
    """The statement of one way to ask: putting it together each time would cost as much as carrying it out."""
    query = _SELECT.where(applications.c.id > sa.bindparam("after", type_=sa.BigInteger))
    query = query.order_by(applications.c.id).limit(sa.bindparam("limit", type_=sa.Integer))
    if environment:
        query = query.where(applications.c.environment == sa.bindparam("environment"))
    if search:
        query = query.where(applications.c.name.contains(sa.bindparam("search"), escape=ESCAPE))
    if not include_deleted:
        leaving = sa.exists().where(resource_references.c.application_id == applications.c.id)
        query = query.where(sa.or_(applications.c.deleted_at.is_(None), leaving))
    return query


def names(tx: Transaction, environment: str | None = None) -> list[str]:
    query = sa.select(applications.c.name).where(applications.c.deleted_at.is_(None)).distinct()
    if environment is not None:
        query = query.where(applications.c.environment == environment)
    return list(tx.connection.execute(query).scalars())


def names_of(tx: Transaction, ids: Collection[ApplicationId]) -> dict[ApplicationId, tuple[str, str]]:
    """Name and environment of each, deleted ones included."""
    query = sa.select(applications.c.id, applications.c.name, applications.c.environment)
    rows = tx.connection.execute(query.where(among(applications.c.id, ids)))
    return {ApplicationId(row.id): (row.name, row.environment) for row in rows}


def environments(tx: Transaction) -> list[tuple[str, int]]:
    """Environments that have applications, with how many."""
    query = (
        sa.select(applications.c.environment, sa.func.count())
        .where(applications.c.deleted_at.is_(None))
        .group_by(applications.c.environment)
        .order_by(applications.c.environment)
    )
    return [(row[0], row[1]) for row in tx.connection.execute(query)]


def add_spec(
    tx: Transaction, application_id: ApplicationId, source: str, *, digest: str, actor: str, first: bool = False
) -> SubmittedVersion:
    """A new version, known to be the `first` or not; the same document as the newest version is that version again."""
    newest = None if first else newest_spec(tx, application_id)
    if newest is not None and newest.digest == digest:
        return newest
    version = newest.version + 1 if newest else 1
    row = {
        "application_id": application_id,
        "version": version,
        "source_sealed": tx.sealer.seal(source.encode(), _SOURCE),
        "digest": digest,
        "submitted_at": tx.now,
        "submitted_by": actor,
    }
    spec_id = tx.connection.execute(_ADD_SPEC, row).scalar_one()
    return SubmittedVersion(SpecId(spec_id), application_id, version, digest, source, actor, tx.now)


_ADD_SPEC = sa.insert(specs).returning(specs.c.id)


def newest_spec(tx: Transaction, application_id: ApplicationId) -> SubmittedVersion | None:
    row = tx.connection.execute(_NEWEST_SPEC, {"application": application_id}).one_or_none()
    return None if row is None else _version(tx, row)


_OF_APPLICATION = specs.c.application_id == sa.bindparam("application")
_NEWEST_SPEC = sa.select(specs).where(_OF_APPLICATION).order_by(specs.c.version.desc()).limit(1)


def spec_versions(tx: Transaction, application_ids: Sequence[ApplicationId]) -> dict[ApplicationId, int]:
    """The newest version number per application."""
    return {row[0]: row[1] for row in tx.connection.execute(_VERSIONS, {"ids": application_ids}).all()}


_VERSIONS = (
    sa.select(specs.c.application_id, sa.func.max(specs.c.version))
    .where(among(specs.c.application_id, "ids"))
    .group_by(specs.c.application_id)
)


def _version(tx: Transaction, row: Any) -> SubmittedVersion:
    source = tx.sealer.open(row.source_sealed, _SOURCE).decode()
    return SubmittedVersion(
        SpecId(row.id),
        ApplicationId(row.application_id),
        row.version,
        row.digest,
        source,
        row.submitted_by,
        row.submitted_at,
    )
