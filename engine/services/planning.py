"""The plan of a submission or deletion, from the store's values. Reads only."""

from collections.abc import Iterable, Mapping

from engine.domain.params_check import params_problems
from engine.domain.plan import DESTRUCTIVE, Action, Plan
from engine.domain.planner import Current, Question, canonical, key_of, make_plan, workload_key
from engine.domain.provider import Provider
from engine.domain.resource import ResourceKey
from engine.domain.spec import Spec
from engine.domain.values import ApplicationId
from engine.errors import Conflict, Invalid, NotFound, Problem
from engine.services.platform import Platform
from engine.store import resources
from engine.store.database import Transaction


def current_state(
    tx: Transaction,
    platform: Platform,
    *,
    application: str,
    application_id: ApplicationId | None,
    environment: str,
    spec: Spec | None,
    locked: bool,
) -> Mapping[ResourceKey, Current]:
    """What exists of the application, and under the identities its spec names."""
    registry = platform.providers.registry
    keys = [workload_key(application, environment)]
    keys += [
        key_of(declaration, application=application, environment=environment, registry=registry)
        for declaration in (spec.resources.values() if spec else ())
    ]
    return resources.currents(tx, application_id, environment, keys, locked=locked)


def plan_for(
    platform: Platform,
    *,
    application: str,
    environment: str,
    spec: Spec | None,
    current: Mapping[ResourceKey, Current],
    prune: bool = False,
    partial: bool = False,
) -> Plan:
    """Raises Invalid or Conflict with every problem in the way."""
    sealer = platform.store.sealer
    answer = make_plan(
        Question(
            application=application,
            environment=environment,
            registry=platform.providers.registry,
            current=current,
            spec=spec,
            prune=prune,
            partial=partial,
            recorded=lambda digest: _recorded(platform, digest),
            check_params=params_problems,
            fingerprint=lambda params: sealer.fingerprint(canonical(params)),
        )
    )
    if answer.plan is None:
        code = answer.problems[0].code if len({p.code for p in answer.problems}) == 1 else "invalid_spec"
        details = {"providers": _who_knows(platform, answer.problems)}
        raise Invalid(f"The spec of `{application}` cannot be applied.", answer.problems, code=code, details=details)
    return answer.plan


def _who_knows(platform: Platform, problems: Iterable[Problem]) -> list[str]:
    """The providers that declare what the problems are about."""
    found = (platform.providers.registry.resolve(problem.about) for problem in problems if problem.about)
    return list(dict.fromkeys(owner[0].name for owner in found if owner is not None))


def _recorded(platform: Platform, digest: str) -> Provider | None:
    try:
        return platform.providers.provider(digest)
    except (NotFound, Invalid):
        return None


def check_plan(plan: Plan, *, plan_hash: str | None, confirm: bool, deleting: bool) -> None:
    """Refuse a plan that is not the one agreed to, that destroys unasked, or that would delete what is protected."""
    protected = [item for item in plan.items if item.protected]
    stuck = [item for item in plan.items if item.action is Action.BLOCKED and deleting] or protected
    if stuck:
        raise Conflict(
            f"`{plan.application}` cannot be {'deleted' if deleting else 'pruned'}: "
            + "; ".join(f"{item.key} {item.reason}" for item in stuck),
            code="protected" if protected else "busy",
            details={"resources": [str(item.key) for item in stuck]},
            hint="Change the provider's `protect`, or keep these resources in the spec."
            if protected
            else "Wait until their runs are over (get_resource_details shows them), then ask again.",
        )
    if plan_hash is not None and plan_hash != plan.hash:
        raise Conflict(
            f"The plan `{plan_hash}` is stale: what exists or what is asked for has changed. Now: {plan.summary}.",
            code="stale_plan",
            details={"plan_hash": plan.hash, "summary": plan.summary, "items": _moved(plan)},
            hint="Ask for a dry run, look at the new plan, and apply it with its `plan_hash`.",
        )
    if confirm and plan.destructive and plan_hash is None:
        raise Conflict(
            f"This would destroy something: {plan.summary}.",
            code="plan_hash_required",
            details={"plan_hash": plan.hash, "summary": plan.summary, "items": _moved(plan)},
            hint="Call again with `dry_run`, show the plan to the person, then call with its `plan_hash`.",
        )


def _moved(plan: Plan) -> list[str]:
    """What the plan does, first what it destroys."""
    items = sorted(plan.items, key=lambda item: item.action not in DESTRUCTIVE)
    return [f"{item.action} {item.key}" + (f" ({item.reason})" if item.reason else "") for item in items]
