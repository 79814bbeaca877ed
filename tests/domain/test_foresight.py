"""A plan says of what it leaves alone that it may be updated all the same, and why."""

from dataclasses import replace

from engine.domain.plan import Action
from engine.domain.provider import Operation
from engine.domain.resource import ResourceKey, ResourceState
from engine.domain.values import JsonObject
from tests.domain.test_planner import Current, deployed, exists, planned, spec, told

READS_DB: JsonObject = {"note": "${resources.db.host}"}
READS_ONE: JsonObject = {"note": "${resources.one.host}"}
NEWER: JsonObject = {"size": 2}

DB, ONE, TWO = (f"`database/shop.{name}`" for name in ("db", "one", "two"))

There = tuple[ResourceKey, Current]


def reasons(**current: There) -> dict[str, tuple[str, str]]:
    """`db` is updated; `one` reads it, `two` reads `one`."""
    wanted = spec(db=("database", NEWER), one=("database", READS_DB), two=("database", READS_ONE))
    there = {
        "db": exists("db", id_=1),
        "one": exists("one", id_=2, params=READS_DB),
        "two": exists("two", id_=3, params=READS_ONE),
        "workload": deployed(),
        **current,
    }
    return told(planned(wanted, *there.values()))


def test_who_reads_what_is_updated_may_be_updated_and_so_may_who_reads_that() -> None:
    assert reasons() == {
        "db": ("update", "its params changed"),
        "one": ("unchanged", "may be updated: it reads outputs of `database/shop.db`, which is updated"),
        "two": ("unchanged", "may be updated: it reads outputs of `database/shop.one`, which may be updated"),
        "workload": (
            "unchanged",
            f"may be updated: it depends on {DB}, which is updated, and {ONE}, {TWO}, which may be updated",
        ),
    }


def test_nothing_follows_from_what_stays_as_it_is() -> None:
    wanted = spec(db=("database", {}), one=("database", READS_DB), new=("database", {}))
    plan = planned(wanted, exists("db", id_=1), exists("one", id_=2, params=READS_DB), deployed())
    assert told(plan) == {
        "db": ("unchanged", ""),
        "new": ("create", "new"),
        "one": ("unchanged", ""),
        "workload": ("unchanged", ""),
    }


def test_what_is_not_made_yet_is_made_with_the_new_values_anyway() -> None:
    waits = exists("one", id_=2, params=READS_DB, state=ResourceState.REQUESTED, pending=Operation.CREATE)
    told_now = reasons(one=waits)
    assert told_now["one"] == ("unchanged", "requested, nothing new to do")
    assert told_now["two"] == ("unchanged", "")


def test_what_is_under_way_may_be_updated_after_it() -> None:
    runs = exists("one", id_=2, params=READS_DB, state=ResourceState.UPDATING, pending=Operation.UPDATE)
    assert reasons(one=runs)["one"][1] == (
        "updating, nothing new to do; may be updated: it reads outputs of `database/shop.db`, which is updated"
    )


def test_what_its_provider_cannot_update_falls_behind_and_nobody_follows_it() -> None:
    reads: JsonObject = {"note": "${resources.cache.host}"}
    wanted = spec(db=("database", NEWER), cache=("cache", READS_DB), two=("database", reads))
    cache = exists("cache", "cache", id_=2, params=READS_DB)
    found = told(planned(wanted, exists("db"), cache, exists("two", id_=3, params=reads)))
    assert found["cache"] == (
        "unchanged",
        "may fall behind: it reads outputs of `database/shop.db`, which is updated, and its provider cannot update it",
    )
    assert found["two"] == ("unchanged", "")


def test_what_another_application_owns_goes_by_that_applications_spec() -> None:
    key, shared = exists("one", id_=2, params=READS_DB, users=("shop", "other"))
    theirs = replace(shared, resource=replace(shared.resource, application="other"))
    assert reasons(one=(key, theirs))["one"] == ("unchanged", "")


def test_what_was_there_before_and_is_made_anew_changes_who_was_made_with_it() -> None:
    gone = exists("db", id_=1, state=ResourceState.TERMINATED)
    assert reasons(db=gone)["one"][1] == (
        "may be updated: it reads outputs of `database/shop.db`, which is created anew"
    )


def test_many_causes_are_counted_not_listed() -> None:
    many = {f"db{n}": ("database", NEWER) for n in range(7)}
    reads: JsonObject = {"note": " ".join(f"${{resources.db{n}.host}}" for n in range(7))}
    there = [exists(f"db{n}", id_=n + 1) for n in range(7)]
    plan = planned(spec(**many, one=("database", reads)), *there, exists("one", id_=9, params=reads))
    (one,) = [item for item in plan.items if item.name == "one"]
    assert one.action is Action.UNCHANGED
    assert "`database/shop.db4` and 2 more, which are updated" in one.reason
    assert "db5" not in one.reason


KEPT = "no longer in the spec; `prune` deletes it"


def test_what_is_gone_from_the_spec_and_kept_goes_along_with_what_it_reads() -> None:
    there = (
        exists("two", id_=1, params=READS_ONE),  # it was there before what it reads
        exists("one", id_=2, params=READS_DB),
        exists("db", id_=3),
        exists("other", id_=4),
        deployed(),
    )
    plan = planned(spec(db=("database", NEWER)), *there)
    assert told(plan) == {
        "db": ("update", "its params changed"),
        "workload": ("unchanged", f"may be updated: it depends on {DB}, which is updated"),
        "one": ("kept", f"{KEPT}; may be updated: it reads outputs of {DB}, which is updated"),
        "two": ("kept", f"{KEPT}; may be updated: it reads outputs of {ONE}, which may be updated"),
        "other": ("kept", KEPT),
    }
    assert f"database/shop.one: {told(plan)['one'][1]}" in plan.warnings


def test_what_is_kept_and_cannot_be_updated_falls_behind() -> None:
    there = exists("db", id_=1), exists("one", "cache", id_=2, params=READS_DB), deployed()
    assert told(planned(spec(db=("database", NEWER)), *there))["one"][1] == (
        f"{KEPT}; may fall behind: it reads outputs of {DB}, which is updated, and its provider cannot update it"
    )


def test_what_is_kept_follows_what_its_names_stood_for_when_it_was_made() -> None:
    there = exists("db", id_=1), exists("one", id_=2, params=READS_DB), deployed()
    assert told(planned(spec(db=("cache", {})), *there))["one"] == ("kept", KEPT)


def test_what_is_pruned_goes_along_with_nothing() -> None:
    there = exists("db", id_=1), exists("one", id_=2, params=READS_DB), deployed()
    assert told(planned(spec(db=("database", NEWER)), *there, prune=True))["one"] == ("delete", "no longer wanted")
