"""Submit a Score spec: plan it, and make it the platform's intent."""

import hashlib
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta

from engine.domain import spec_reader
from engine.domain.plan import Plan
from engine.domain.planner import Current
from engine.domain.resource import ResourceKey
from engine.domain.spec import DEFAULT_ENVIRONMENT, ParsedSpec, Spec
from engine.domain.values import Actor, ApplicationId, ExecutionId, Json, JsonObject
from engine.errors import Invalid, Problem, counted
from engine.services import environment_names
from engine.services.applying import application_event, apply_plan
from engine.services.idempotency import once
from engine.services.planning import check_plan, current_state, plan_for
from engine.services.platform import Platform
from engine.services.starting import begun
from engine.store import applications, events
from engine.store.database import Transaction

_LARGE = 100
"""Resources."""
_LARGE_ONES = threading.BoundedSemaphore(2)


@dataclass(frozen=True, slots=True)
class Submission:
    """What a submission or deletion does (`applied`) or would do. `plan` is None when it was answered by its key.

    `on_record` is told by a dry run: the newest spec is this one already, so that applying it would record nothing new.
    """

    application: str
    environment: str
    plan_hash: str
    applied: bool
    plan: Plan | None = None
    version: int | None = None
    warnings: tuple[Problem, ...] = ()
    execution_ids: tuple[ExecutionId, ...] = ()
    replayed: bool = False
    on_record: bool = False


@dataclass(frozen=True, slots=True)
class _Wish:
    """A spec, where it is to stand, what may go for it, and the plan that was agreed to."""

    spec: Spec
    source: str
    environment: str
    plan_hash: str | None
    prune: bool
    confirm: bool

    @property
    def request(self) -> JsonObject:
        """What an idempotency key stands for."""
        return {
            "source": self.source,
            "environment": self.environment,
            "plan_hash": self.plan_hash,
            "prune": self.prune,
        }


def submit(  # noqa: PLR0913 - every option of one use case
    platform: Platform,
    actor: Actor,
    source: str | bytes,
    *,
    environment: str | None = None,
    dry_run: bool = False,
    plan_hash: str | None = None,
    prune: bool = False,
    strict: bool = False,
    confirm: bool = False,
    idempotency_key: str | None = None,
) -> Submission:
    """Plan a Score spec and, unless `dry_run`, make it the platform's intent.

    With `confirm`, a plan that deletes or forgets anything is refused unless `plan_hash` names it.
    Raises Invalid (every problem), Conflict (`stale_plan`, `plan_hash_required`, `protected`, a reused key).
    """
    parsed = read_spec(platform, source, strict=strict)
    spec = parsed.spec
    assert spec is not None
    where = environment_names.checked(environment or spec.environment or DEFAULT_ENVIRONMENT)
    text = source if isinstance(source, str) else source.decode()
    wish = _Wish(spec, text, where, plan_hash, prune, confirm)
    with _turn(spec):
        if dry_run:
            return replace(_previewed(platform, wish), warnings=parsed.warnings)

        def work(tx: Transaction) -> Submission:
            return _applied(tx, platform, actor, wish)

        made = carried_out(platform, actor, "submit", idempotency_key, request=wish.request, work=work)
    return replace(made, warnings=parsed.warnings)


def _turn(spec: Spec) -> AbstractContextManager[object]:
    """Large specs take turns: at once they would not be done any sooner, and small ones would wait for them all."""
    return _LARGE_ONES if len(spec.resources) > _LARGE else nullcontext()


def read_spec(platform: Platform, source: str | bytes, *, strict: bool = False) -> ParsedSpec:
    """The parsed spec, warnings included. Raises Invalid with every problem."""
    parsed = spec_reader.read(
        source,
        strict=strict,
        max_bytes=platform.settings.max_spec_bytes,
        max_resources=platform.settings.max_resources_per_spec,
    )
    if parsed.spec is None:
        raise Invalid(f"The Score spec has {counted(parsed.errors)}.", parsed.problems, code="invalid_spec")
    return parsed


def _previewed(platform: Platform, wish: _Wish) -> Submission:
    with platform.store.read() as tx:
        found = applications.find(tx, wish.spec.application, wish.environment)
        plan, _ = _planned(tx, platform, wish, found.id if found else None, locked=False)
        on_record = found is not None and _on_record(tx, found.id, wish)
    check_plan(plan, plan_hash=wish.plan_hash, confirm=False, deleting=False)
    return Submission(wish.spec.application, wish.environment, plan.hash, applied=False, plan=plan, on_record=on_record)


def _on_record(tx: Transaction, application_id: ApplicationId, wish: _Wish) -> bool:
    """Not so for a spec with a time to live: it begins anew."""
    newest = applications.newest_spec(tx, application_id)
    return newest is not None and newest.source == wish.source and wish.spec.ttl is None


def _applied(tx: Transaction, platform: Platform, actor: Actor, wish: _Wish) -> Submission:
    application, new = applications.ensure(tx, wish.spec.application, wish.environment, actor=str(actor))
    plan, current = _planned(tx, platform, wish, None if new else application.id, locked=True)
    check_plan(plan, plan_hash=wish.plan_hash, confirm=wish.confirm, deleting=False)
    digest = hashlib.sha256(wish.source.encode()).hexdigest()
    spec = applications.add_spec(tx, application.id, wish.source, digest=digest, actor=str(actor), first=new)
    version = spec.version
    ids = apply_plan(tx, application, plan, current, actor=actor, spec_version=version)
    told: dict[str, str | int] = {"version": version, "plan": plan.hash, "summary": plan.summary}
    expires_at = None if wish.spec.ttl is None else tx.now + timedelta(seconds=wish.spec.ttl)
    if expires_at is not None:
        told["expires_at"] = expires_at.isoformat(timespec="milliseconds")
    if expires_at != application.expires_at:
        applications.set_expiry(tx, application.id, expires_at)
    events.record(tx, [application_event(application, "spec.submitted", actor, **told)])
    return Submission(
        application.name,
        wish.environment,
        plan.hash,
        applied=True,
        plan=plan,
        version=version,
        execution_ids=tuple(ids),
    )


def _planned(
    tx: Transaction, platform: Platform, wish: _Wish, application_id: ApplicationId | None, *, locked: bool
) -> tuple[Plan, Mapping[ResourceKey, Current]]:
    """The plan, and what exists that it was made against."""
    application, where, spec = wish.spec.application, wish.environment, wish.spec
    current = current_state(
        tx,
        platform,
        application=application,
        application_id=application_id,
        environment=where,
        spec=spec,
        locked=locked,
    )
    plan = plan_for(platform, application=application, environment=where, spec=spec, current=current, prune=wish.prune)
    return plan, current


def carried_out(
    platform: Platform,
    actor: Actor,
    operation: str,
    key: str | None,
    *,
    request: JsonObject,
    work: Callable[[Transaction], Submission],
) -> Submission:
    """What `work` did, or the handle of what the same request under the same key did before; then wake the engine."""

    def attempt(tx: Transaction) -> Submission:
        made: list[Submission] = []

        def now() -> JsonObject:
            made.append(work(tx))
            return _handle(made[0])

        handle, replayed = once(platform, tx, actor, operation, key, request=request, work=now)
        return _from_handle(handle) if replayed else made[0]

    return begun(platform, attempt)


def _handle(submission: Submission) -> JsonObject:
    ids: list[Json] = list(submission.execution_ids)
    return {
        "application": submission.application,
        "environment": submission.environment,
        "plan_hash": submission.plan_hash,
        "version": submission.version,
        "execution_ids": ids,
    }


def _from_handle(handle: JsonObject) -> Submission:
    ids, version = handle["execution_ids"], handle["version"]
    assert isinstance(ids, list)
    return Submission(
        str(handle["application"]),
        str(handle["environment"]),
        str(handle["plan_hash"]),
        applied=True,
        version=version if isinstance(version, int) else None,
        execution_ids=tuple(ExecutionId(value) for value in ids if isinstance(value, int)),
        replayed=True,
    )
