import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pytest

from engine.domain.params_check import params_problems
from engine.domain.plan import Action, Plan
from engine.domain.planner import Current, Question, Reference, make_plan
from engine.domain.provider import Operation, OperationWorkflows, Provider, Registry, ResourceType, WorkflowChoice
from engine.domain.resource import Resource, ResourceKey, ResourceState
from engine.domain.spec import ResourceDeclaration, Spec
from engine.domain.values import ApplicationId, Json, JsonObject, ResourceId

S = ResourceState
ALL = (Operation.CREATE, Operation.UPDATE, Operation.DELETE)
SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"password": {"type": "string", "writeOnly": True}, "size": {"type": "integer"}},
}


def kind(name: str, *operations: Operation, **options: object) -> ResourceType:
    workflows = {op: OperationWorkflows((WorkflowChoice(f"{op}-{name}"),), f"{op}-{name}") for op in operations or ALL}
    made = ResourceType(name, workflows, params_schema=SCHEMA)
    return replace(made, **options)  # pyright: ignore[reportArgumentType] # fields by name


TEAM = Provider(
    "team",
    "1.0.0",
    "d1",
    resource_types=(
        kind("database", aliases=("db",)),
        kind("cache", Operation.CREATE, Operation.DELETE),
        kind("keeper", Operation.CREATE),
        kind("vault", protect=frozenset({"prod"})),
        kind("archive", retain=frozenset({"*"})),
        replace(kind("workload"), params_schema=None),
    ),
)
REGISTRY = Registry((TEAM,))


Declared = tuple[str, JsonObject] | ResourceDeclaration


def spec(image: str = "one", /, **declared: Declared) -> Spec:
    resources = {
        name: given if isinstance(given, ResourceDeclaration) else ResourceDeclaration(name, given[0], params=given[1])
        for name, given in declared.items()
    }
    return Spec("shop", {"name": "shop"}, {"main": {"image": image}}, resources=resources)


def exists(
    name: str,
    type_: str = "database",
    state: S = S.ACTIVE,
    *,
    id_: int = 1,
    users: Iterable[str] = ("shop",),
    **more: object,
) -> tuple[ResourceKey, Current]:
    identity = "shop" if type_ == "workload" else f"shop.{name}"
    key = ResourceKey("default", type_, "default", identity)
    made = Resource(
        id=ResourceId(id_), key=key, application_id=ApplicationId(1), application="shop", name=name, params={},
        state=state, provider="team", digest="d1", observed_generation=1, fingerprint="f",
    )  # fmt: skip
    made = replace(made, **more)  # pyright: ignore[reportArgumentType] # fields by name
    references = tuple(Reference(ApplicationId(i), user, name, made.params) for i, user in enumerate(users, 1))
    return key, Current(made, references)


def question(wanted: Spec | None, *current: tuple[ResourceKey, Current], **options: object) -> Question:
    made = Question("shop", "default", REGISTRY, dict(current), spec=wanted, check_params=params_problems)
    return replace(made, **options)  # pyright: ignore[reportArgumentType] # fields by name


def planned(wanted: Spec | None, *current: tuple[ResourceKey, Current], **options: object) -> Plan:
    answer = make_plan(question(wanted, *current, **options))
    assert answer.plan is not None, answer.problems
    return answer.plan


def told(plan: Plan) -> dict[str, tuple[str, str]]:
    return {item.name: (item.action.value, item.reason) for item in plan.items}


def deployed(image: str = "one") -> tuple[ResourceKey, Current]:
    params: JsonObject = {"metadata": {"name": "shop"}, "service": {}, "containers": {"main": {"image": image}}}
    return exists("workload", "workload", id_=99, params=params)


def test_what_is_new_is_created_dependencies_first() -> None:
    plan = planned(spec(zz=("database", {}), aa=("cache", {"note": "${resources.zz.host}"})))
    assert [item.name for item in plan.items] == ["zz", "aa", "workload"]
    assert {item.action for item in plan.items} == {Action.CREATE}
    assert plan.items[1].known_after_apply == ("note (from `resources.zz`)",)
    assert plan.items[1].depends_on == (plan.items[0].key,)
    assert set(plan.items[2].depends_on) == {plan.items[0].key, plan.items[1].key}
    assert plan.items[0].workflow == "create-database"
    assert plan.summary == "3 to create"


def test_what_stands_as_wanted_is_unchanged() -> None:
    plan = planned(spec(db=("database", {})), exists("db"), deployed())
    assert told(plan) == {"db": ("unchanged", ""), "workload": ("unchanged", "")}
    assert not plan.has_changes


def test_changed_params_are_an_update_leaf_by_leaf_without_secrets() -> None:
    wanted = spec(db=("database", {"size": 2, "password": "new-canary"}))
    current = exists("db", params={"size": 1, "password": "old-canary"})
    plan = planned(wanted, current, deployed())
    item = plan.items[0]
    assert (item.action, item.reason) == (Action.UPDATE, "its params changed")
    assert [(c.path, c.before, c.after) for c in item.changes] == [("password", "***", "***"), ("size", 1, 2)]


@pytest.mark.parametrize(
    ("state", "pending", "changed", "expected"),
    [
        (S.REQUESTED, Operation.CREATE, False, ("unchanged", "requested, nothing new to do")),
        (S.REQUESTED, Operation.CREATE, True, ("create", "not provisioned yet")),
        (S.BLOCKED, Operation.CREATE, True, ("create", "not provisioned yet")),
        (S.PROVISIONING, Operation.CREATE, False, ("unchanged", "provisioning, nothing new to do")),
        (S.PROVISIONING, Operation.CREATE, True, ("update", "its params changed")),
        (S.UPDATING, Operation.UPDATE, True, ("update", "its params changed")),
        (S.DEGRADED, None, True, ("update", "its params changed")),
        (S.FAILED, Operation.CREATE, False, ("create", "repeats the create that failed")),
        (S.FAILED, Operation.UPDATE, True, ("update", "repeats the update that failed")),
        (S.TERMINATED, None, False, ("create", "wanted again after it was deleted")),
        (S.TERMINATING, Operation.DELETE, False, ("create", "wanted again while it is being deleted")),
        (S.FAILED, Operation.DELETE, False, ("update", "wanted again while it is being deleted")),
        (S.ACTIVE, Operation.DELETE, False, ("unchanged", "its deletion has not begun and is withdrawn")),
        (S.ACTIVE, Operation.DELETE, True, ("update", "wanted again while it is being deleted")),
    ],
)
def test_what_is_wanted_depends_on_how_it_stands(
    state: S, pending: Operation | None, changed: object, expected: tuple[str, str]
) -> None:
    wanted = spec(db=("database", {"size": 2} if changed else {}))
    current = exists("db", state=state, pending=pending, desired_generation=2)
    assert told(planned(wanted, current, deployed()))["db"] == expected


def test_what_was_never_made_is_created_when_its_deletion_failed() -> None:
    current = exists("db", state=S.FAILED, pending=Operation.DELETE, fingerprint="", observed_generation=4)
    assert told(planned(spec(db=("database", {})), current))["db"][0] == "create"


def test_an_update_that_was_never_made_is_made_when_the_deletion_is_withdrawn() -> None:
    current = exists("db", pending=Operation.DELETE, desired_generation=3, observed_generation=1)
    assert told(planned(spec(db=("database", {})), current))["db"][0] == "update"


def test_what_no_workflow_can_do_is_blocked_and_says_why() -> None:
    plan = planned(spec(cache=("cache", {"size": 2})), exists("cache", "cache"))
    action, reason = told(plan)["cache"]
    assert action == "blocked"
    assert "no update workflow for `cache`" in reason
    assert plan.warnings == (f"cache/shop.cache: {reason}",)


def test_without_a_provider_for_workloads_the_workload_is_blocked() -> None:
    bare = Registry((replace(TEAM, resource_types=TEAM.resource_types[:-1]),))
    action, reason = told(planned(spec(), registry=bare))["workload"]
    assert action == "blocked"
    assert "no provider offers `workload`" in reason


def test_what_left_the_spec_is_kept_pruned_released_retained_or_protected() -> None:
    current = [
        exists("db", id_=1),
        exists("shared", id_=2, users=("shop", "other")),
        exists("old", "archive", id_=3),
        exists("keep", "keeper", id_=4),
        exists("safe", "vault", id_=5),
        exists("never", state=S.BLOCKED, id_=6),
        deployed(),
    ]
    kept = planned(spec(), *current)
    assert {item.action for item in kept.items if item.gone} == {Action.KEPT}
    assert not any(item.releases for item in kept.items)
    pruned = planned(spec(), *current, prune=True)
    assert {item.name: (item.action.value, item.releases) for item in pruned.items if item.gone} == {
        "db": ("delete", True),
        "shared": ("kept", True),
        "old": ("forget", True),
        "keep": ("forget", True),
        "safe": ("delete", True),
        "never": ("forget", True),
    }
    assert pruned.destructive
    gone = planned(None, *current)
    assert [item.name for item in gone.items] == ["workload", "never", "safe", "keep", "old", "shared", "db"]


def test_protection_and_retention_are_per_environment() -> None:
    key, current = exists("safe", "vault")
    prod_key = replace(key, environment="prod")
    prod = (prod_key, replace(current, resource=replace(current.resource, key=prod_key)))
    item = planned(None, prod, environment="prod").items[0]
    assert (item.action, item.protected, item.releases) == (Action.BLOCKED, True, False)
    assert planned(None, (key, current)).items[0].action is Action.DELETE


def test_a_blocked_name_that_sounds_protected_is_not() -> None:
    named = Registry((replace(TEAM, name="protected-team"),))
    item = planned(spec(cache=("cache", {"size": 2})), exists("cache", "cache"), registry=named).items[0]
    assert item.action is Action.BLOCKED
    assert not item.protected


def test_what_is_being_deleted_stays_so() -> None:
    for state in (S.ACTIVE, S.TERMINATING, S.PROVISIONING):
        for wanted in (None, spec()):
            plan = planned(
                wanted, exists("db", state=state, pending=Operation.DELETE, desired_generation=2), prune=True
            )
            item = next(item for item in plan.items if item.name == "db")
            assert (item.action, item.reason, item.gone) == (Action.UNCHANGED, "is being deleted", True)


def test_a_failed_deletion_is_asked_for_again() -> None:
    plan = planned(None, exists("db", state=S.FAILED, pending=Operation.DELETE, desired_generation=2))
    assert plan.items[0].operation is Operation.DELETE


def test_a_run_that_is_to_be_retained_must_end_first() -> None:
    item = planned(None, exists("old", "archive", state=S.PROVISIONING)).items[0]
    assert (item.action, item.releases) == (Action.BLOCKED, False)
    assert "ask again" in item.reason


def test_a_gone_provider_is_replaced_by_what_is_recorded_of_it() -> None:
    def recorded(digest: str) -> Provider | None:
        return TEAM if digest == "d1" else None

    current = [exists("db", id_=1), exists("keep", "keeper", id_=2), exists("lost", digest="d0", id_=3)]
    plan = planned(None, *current, registry=Registry(), recorded=recorded)
    items = {item.name: item for item in plan.items}
    assert (items["db"].workflow, items["db"].digest) == ("delete-database", "d1")
    assert items["keep"].action is Action.FORGET
    assert (items["lost"].action, items["lost"].workflow) == (Action.DELETE, "")


def problems_of(wanted: Spec, *current: tuple[ResourceKey, Current]) -> dict[str, str]:
    answer = make_plan(question(wanted, *current))
    assert answer.plan is None
    return {problem.code: f"{problem.path} {problem.message} {problem.fix}" for problem in answer.problems}


def test_every_problem_is_told_at_once() -> None:
    found = problems_of(
        spec(
            aa=("databse", {}),
            bb=("database", {"size": "big"}),
            cc=ResourceDeclaration("cc", "database", id="one", params={"size": 1}),
            dd=ResourceDeclaration("dd", "db", id="one", params={"size": 2}),
        )
    )
    assert "resources.aa.type" in found["unknown_resource_type"]
    assert "`database`" in found["unknown_resource_type"]
    assert "resources.bb.params.size" in found["params_invalid"]
    assert "resources.dd" in found["conflicting_declarations"]


def test_twins_are_one_resource_with_two_names() -> None:
    twins: dict[str, Declared] = {
        name: ResourceDeclaration(name, t, id="one") for name, t in (("first", "database"), ("second", "db"))
    }
    reader: Declared = ("cache", {"note": "${resources.second.host}"})
    plan = planned(spec(**twins, reader=reader))
    assert [item.name for item in plan.items] == ["first", "reader", "workload"]
    assert plan.items[0].aliases == ("second",)
    assert plan.items[1].known_after_apply == ("note (from `resources.second`)",)


def test_another_params_for_a_shared_id_names_the_other_application() -> None:
    key, current = exists("db", users=("other",), params={"size": 1})
    wanted = spec(db=ResourceDeclaration("db", "database", id=key.id, params={"size": 2}))
    assert "application `other`" in problems_of(wanted, (key, current))["resource_conflict"]
    same = spec(db=ResourceDeclaration("db", "database", id=key.id, params={"size": 1}))
    assert told(planned(same, (key, current)))["db"][0] == "unchanged"


def test_a_name_that_stands_for_another_resource_updates_who_reads_it() -> None:
    reads: JsonObject = {"note": "${resources.db.host}"}
    wanted = spec(db=ResourceDeclaration("db", "database", id="new"), reader=("database", reads))
    old, reader = exists("db", id_=1), exists("reader", id_=2, params=reads)
    assert told(planned(wanted, old, reader))["reader"] == ("update", "`db` stand for other resources now")
    under_way = exists("reader", id_=2, params=reads, state=S.PROVISIONING, observed_generation=0)
    assert told(planned(wanted, old, under_way))["reader"][0] == "update"


def test_an_addition_leaves_everything_else_alone() -> None:
    plan = planned(spec(extra=("cache", {})), exists("db"), deployed(), partial=True)
    assert [item.name for item in plan.items] == ["extra"]


def test_the_hash_knows_what_matters_and_nothing_else() -> None:
    base = question(spec(db=("database", {"size": 1, "password": "canary"})), deployed())
    other_digest = Registry((replace(TEAM, digest="d2"),))
    variants: Mapping[str, Question] = {
        "same": base,
        "params": replace(base, spec=spec(db=("database", {"size": 2, "password": "canary"}))),
        "secret": replace(base, spec=spec(db=("database", {"size": 1, "password": "other"}))),
        "image": replace(base, spec=spec("two", db=("database", {"size": 1, "password": "canary"}))),
        "digest": replace(base, registry=other_digest),
        "prune": replace(base, prune=True),
        "generation": question(base.spec, deployed(), exists("db", desired_generation=2)),
        "later": question(base.spec, deployed(), exists("db", desired_generation=3)),
        "delete": replace(base, spec=None),
        "name": replace(base, spec=spec(dc=("database", {"size": 1, "password": "canary"}))),
    }
    hashes = {name: plan.hash for name, each in variants.items() if (plan := make_plan(each).plan)}
    assert len(set(hashes.values())) == len(variants)
    assert make_plan(base).plan == make_plan(base).plan


def test_classes_and_types_are_told_apart_in_the_hash() -> None:
    dotted = Registry((replace(TEAM, resource_types=(*TEAM.resource_types, kind("a.b"), kind("a"))),))
    one = spec(x=ResourceDeclaration("x", "a.b", id="i"))
    two = spec(x=ResourceDeclaration("x", "a", resource_class="b", id="i"))
    assert planned(one, registry=dotted).hash != planned(two, registry=dotted).hash


def test_secrets_stand_neither_in_the_plans_text_nor_in_what_is_hashed() -> None:
    seen: list[JsonObject] = []

    def fingerprint(params: JsonObject) -> str:
        seen.append(params)
        return "keyed"

    plan = planned(spec(db=("database", {"password": "canary"})), exists("db"), fingerprint=fingerprint)
    assert {"password": "canary"} in seen  # only through the key
    shown = [(item.changes, item.reason, item.known_after_apply) for item in plan.items]
    assert "canary" not in repr((shown, plan.hash, plan.summary, plan.warnings))


def test_the_same_question_has_the_same_hash_in_another_process() -> None:
    script = (
        "from tests.domain.test_planner import *\n"
        "print(planned(spec(b=('database', {'z': 1, 'a': [1]}), a=('cache', {'n': '${resources.b.host}'})), deployed()).hash)"
    )
    root = Path(__file__).parents[2]
    hashes = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=root,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(hashes) == 1


def test_the_work_of_planning_grows_with_the_number_of_resources_not_with_its_square() -> None:
    def calls(count: int) -> int:
        chain: dict[str, Declared] = {
            f"r{n}": ("database", {"note": f"${{resources.r{n - 1}.host}}" if n % 10 else "", "size": n})
            for n in range(count)
        }
        wanted = spec(**chain)
        current = [exists(f"r{n}", id_=n + 1, params={"size": 0}) for n in range(0, count, 2)]
        made = 0

        def count_it(_frame: FrameType, what: str, _arg: object) -> None:
            nonlocal made
            made += what in {"call", "c_call"}

        sys.setprofile(count_it)
        try:
            plan = planned(wanted, *current)
        finally:
            sys.setprofile(None)
        place = {item.key: index for index, item in enumerate(plan.items)}
        assert all(place[need] < place[item.key] for item in plan.items for need in item.depends_on)
        assert planned(None, *current).items[0].resource_id == count - 1
        return made

    assert calls(1000) < 5 * calls(250)


def test_params_of_any_shape_are_compared() -> None:
    deep: Json = "leaf"
    for _ in range(200):
        deep = {"in": [deep]}
    plan = planned(spec(db=("database", {"deep": deep})), exists("db", params={"deep": [1]}))
    assert plan.items[0].changes[0].path == "deep"
