"""Submit, redeploy, delete and read applications."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from engine.domain import spec_reader
from engine.domain.application import Application, SubmittedVersion
from engine.domain.plan import Plan
from engine.domain.planner import Current
from engine.domain.resource import Resource, ResourceKey, ResourceState
from engine.domain.spec import DEFAULT_ENVIRONMENT, ParsedSpec, Spec
from engine.domain.values import Actor, ApplicationId, ExecutionId, Json, JsonObject
from engine.errors import Invalid, NotFound, Problem, counted
from engine.services import environment_names, paging, texts
from engine.services.applying import application_event, apply_plan
from engine.services.idempotency import once
from engine.services.masking import shown
from engine.services.planning import check_plan, current_state, plan_for
from engine.services.platform import Page, Platform
from engine.store import applications, events, resources
from engine.store.again import transacted
from engine.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Submission:
    """What a submission or deletion does (`applied`) or would do. `plan` is None when it was answered by its key."""

    application: str
    environment: str
    plan_hash: str
    applied: bool
    plan: Plan | None = None
    version: int | None = None
    warnings: tuple[Problem, ...] = ()
    execution_ids: tuple[ExecutionId, ...] = ()
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class ApplicationView:
    """An application as it stands: `status` is one word for all of its resources."""

    application: Application
    version: int
    status: str
    resources: tuple[Resource, ...]


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
    if dry_run:
        return _dry_run(platform, spec, where, prune=prune, plan_hash=plan_hash, warnings=parsed.warnings)
    text = source if isinstance(source, str) else source.decode()
    request: JsonObject = {"source": text, "environment": where, "plan_hash": plan_hash, "prune": prune}

    def work(tx: Transaction) -> Submission:
        return _apply(tx, platform, actor, spec, text, where, plan_hash=plan_hash, prune=prune, confirm=confirm)

    made = _once(platform, actor, "submit", idempotency_key, request=request, work=work)
    return replace(made, warnings=parsed.warnings)


def _once(
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

    submission = transacted(platform.store, attempt)
    platform.signals.nudge(max(1, len(submission.execution_ids)))
    return submission


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


def _dry_run(
    platform: Platform, spec: Spec, where: str, *, prune: bool, plan_hash: str | None, warnings: tuple[Problem, ...]
) -> Submission:
    with platform.store.read() as tx:
        found = applications.find(tx, spec.application, where)
        current = current_state(
            tx,
            platform,
            application=spec.application,
            application_id=found.id if found else None,
            environment=where,
            spec=spec,
            locked=False,
        )
    plan = plan_for(platform, application=spec.application, environment=where, spec=spec, current=current, prune=prune)
    check_plan(plan, plan_hash=plan_hash, confirm=False, deleting=False)
    return Submission(spec.application, where, plan.hash, applied=False, plan=plan, warnings=warnings)


def _apply(  # noqa: PLR0913 - the options of `submit`
    tx: Transaction,
    platform: Platform,
    actor: Actor,
    spec: Spec,
    source: str,
    where: str,
    *,
    plan_hash: str | None,
    prune: bool,
    confirm: bool,
) -> Submission:
    application = applications.ensure(tx, spec.application, where, actor=str(actor))
    current = current_state(
        tx,
        platform,
        application=application.name,
        application_id=application.id,
        environment=where,
        spec=spec,
        locked=True,
    )
    plan = plan_for(platform, application=application.name, environment=where, spec=spec, current=current, prune=prune)
    check_plan(plan, plan_hash=plan_hash, confirm=confirm, deleting=False)
    version = applications.add_spec(
        tx, application.id, source, digest=hashlib.sha256(source.encode()).hexdigest(), actor=str(actor)
    )
    ids = apply_plan(
        tx,
        application,
        plan,
        current,
        actor=actor,
        spec_version=version.version,
    )
    expires_at = None if spec.ttl is None else tx.now + timedelta(seconds=spec.ttl)
    applications.set_expiry(tx, application.id, expires_at)
    told: dict[str, str | int] = {"version": version.version, "plan": plan.hash, "summary": plan.summary}
    if expires_at is not None:
        told["expires_at"] = expires_at.isoformat(timespec="milliseconds")
    events.record(tx, [application_event(application, "spec.submitted", actor, **told)])
    return Submission(
        application.name,
        where,
        plan.hash,
        applied=True,
        plan=plan,
        version=version.version,
        execution_ids=tuple(ids),
    )


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


def delete(
    platform: Platform,
    actor: Actor,
    name: str,
    *,
    environment: str = DEFAULT_ENVIRONMENT,
    dry_run: bool = False,
    plan_hash: str | None = None,
    confirm: bool = False,
    idempotency_key: str | None = None,
) -> Submission:
    """Delete everything an application refers to, in reverse order; what others use or a provider retains stays.

    Raises NotFound, and Conflict when something is protected (then nothing is deleted).
    """
    if dry_run:
        with platform.store.read() as tx:
            found = existing(tx, name, environment)
            plan = _deletion_plan(tx, platform, found, locked=False)[0]
        check_plan(plan, plan_hash=plan_hash, confirm=False, deleting=True)
        return Submission(name, environment, plan.hash, applied=False, plan=plan)
    request: JsonObject = {"name": name, "environment": environment, "plan_hash": plan_hash}

    def work(tx: Transaction) -> Submission:
        return carry_out_deletion(tx, platform, actor, name, environment, plan_hash=plan_hash, confirm=confirm)

    return _once(platform, actor, "delete", idempotency_key, request=request, work=work)


def carry_out_deletion(
    tx: Transaction,
    platform: Platform,
    actor: Actor,
    name: str,
    environment: str,
    *,
    plan_hash: str | None,
    confirm: bool,
) -> Submission:
    """`delete` inside a transaction. It refuses before it has written anything."""
    found = existing(tx, name, environment, lock=True)
    plan, current = _deletion_plan(tx, platform, found, locked=True)
    check_plan(plan, plan_hash=plan_hash, confirm=confirm, deleting=True)
    ids = apply_plan(tx, found, plan, current, actor=actor, spec_version=None)
    applications.mark_deleted(tx, found.id)
    events.record(tx, [application_event(found, "application.deleted", actor, plan=plan.hash, summary=plan.summary)])
    return Submission(found.name, found.environment, plan.hash, applied=True, plan=plan, execution_ids=tuple(ids))


def _deletion_plan(
    tx: Transaction, platform: Platform, found: Application, *, locked: bool
) -> tuple[Plan, Mapping[ResourceKey, Current]]:
    current = current_state(
        tx,
        platform,
        application=found.name,
        application_id=found.id,
        environment=found.environment,
        spec=None,
        locked=locked,
    )
    plan = plan_for(platform, application=found.name, environment=found.environment, spec=None, current=current)
    return plan, current


def existing(tx: Transaction, name: str, environment: str, *, lock: bool = False) -> Application:
    if not texts.storable(name + environment):
        raise NotFound("application", ascii(name)[1:-1])
    found = applications.find(tx, name, environment, lock=lock)
    if found is None or (found.deleted_at is not None and not resources.of_application(tx, found.id)):
        elsewhere = [
            other.environment
            for other in applications.listed(tx, search=name, limit=50)
            if other.name == name and other.environment != environment
        ]
        hint = f"It exists in: {', '.join(sorted(elsewhere))}." if elsewhere else ""
        raise NotFound("application", name, known=applications.names(tx), hint=hint)
    return found


def get(platform: Platform, name: str, *, environment: str = DEFAULT_ENVIRONMENT) -> ApplicationView:
    """Raises NotFound."""
    with platform.store.read() as tx:
        found = existing(tx, name, environment)
        return _view(tx, platform, found, applications.spec_versions(tx, [found.id]))


def listed(
    platform: Platform, *, environment: str | None = None, search: str = "", cursor: str = "", limit: int = 50
) -> Page[ApplicationView]:
    """Applications that exist or are on their way out, by rising id. Raises Invalid for a cursor that is none."""
    start = paging.after(cursor)
    texts.checked(environment=environment, search=search)
    with platform.store.read() as tx:
        found = applications.listed(tx, environment=environment, search=search, after=start, limit=limit + 1)
        page = found[:limit]
        versions = applications.spec_versions(tx, [application.id for application in page])
        views = tuple(_view(tx, platform, application, versions) for application in page)
    return Page(views, str(page[-1].id) if len(found) > limit else "")


def _view(
    tx: Transaction, platform: Platform, found: Application, versions: Mapping[ApplicationId, int]
) -> ApplicationView:
    owned = tuple(shown(platform, resource) for resource in resources.of_application(tx, found.id))
    return ApplicationView(found, versions.get(found.id, 0), status_of(found, owned), owned)


def status_of(application: Application, owned: tuple[Resource, ...]) -> str:
    """`active`, `in_progress`, `failed`, `degraded`, `deleting` or `deleted`."""
    states = {resource.state for resource in owned if not resource.awaits_turn}
    if ResourceState.FAILED in states:
        return "failed"
    if application.deleted_at is not None:
        return "deleting" if owned else "deleted"
    if any(not resource.settled for resource in owned):
        return "in_progress"
    return "degraded" if ResourceState.DEGRADED in states else "active"


def spec_of(platform: Platform, name: str, *, environment: str = DEFAULT_ENVIRONMENT) -> SubmittedVersion:
    """The newest submitted Score document. Raises NotFound."""
    with platform.store.read() as tx:
        found = existing(tx, name, environment)
        newest = applications.newest_spec(tx, found.id)
    if newest is None:
        raise NotFound("spec", name)
    return newest


def spec_revealed(
    platform: Platform, actor: Actor, name: str, *, environment: str = DEFAULT_ENVIRONMENT
) -> SubmittedVersion:
    """The newest document as it was sent, secrets included; who read it stands in the timeline. Raises NotFound."""
    newest = spec_of(platform, name, environment=environment)
    with platform.store.begin() as tx:
        found = existing(tx, name, environment)
        events.record(tx, [application_event(found, "spec.revealed", actor, version=newest.version)])
    return newest


def listed_environments(platform: Platform) -> list[tuple[str, int]]:
    """Environments with the number of their applications."""
    with platform.store.read() as tx:
        return applications.environments(tx)
