"""Resources that several applications refer to, and environments that share nothing."""

import threading

import pytest

from engine.errors import Invalid
from engine.services import applications, resources
from tests.services.conftest import House, reasons
from tests.support.score import score


def test_shared_resources_belong_to_all_who_name_them(house: House) -> None:
    shared = {"type": "database", "id": "main", "params": {"size": 3}}
    for name in ("aa", "bb", "cc"):
        house.submit(score(name, db=shared))
        house.rest()
    (one,) = {house.resources(name)["db"].id for name in ("aa", "bb", "cc")}
    assert house.resources("bb")["db"].application == "aa"
    with pytest.raises(Invalid) as refused:
        house.submit(score("dd", db={**shared, "params": {"size": 4}}))
    assert refused.value.code == "resource_conflict"
    assert "`aa`" in refused.value.problems[0].message
    gone = house.delete("bb")
    assert reasons(gone)["db"] == "still used by `aa`, `cc`"
    house.rest()
    assert house.resources("cc")["db"].application == "aa"  # who owns it goes on owning it
    house.delete("aa")
    house.rest()
    assert (house.resources("cc")["db"].id, house.resources("cc")["db"].application) == (one, "cc")
    assert house.states("aa") == {}
    house.submit(score("cc", db={**shared, "params": {"size": 4}}))
    house.rest()
    assert house.resources("cc")["db"].outputs["size"] == 4
    house.delete("cc")
    house.rest()
    assert resources.listed(house.platform).items == ()


def test_a_plan_that_only_changes_who_refers_to_what_is_told_as_a_change(house: House) -> None:
    shared = {"type": "database", "id": "main"}
    house.submit(score("aa", db=shared))
    house.submit(score("bb"))
    house.rest()
    steps = (
        (score("bb", db=shared), False, "db", "`bb` refers to it from now on", "1 to refer to, 1 unchanged"),
        (
            score("bb", db=shared, also=shared),
            False,
            "db",
            "called `also`, `db` from now on",
            "1 to refer to, 1 unchanged",
        ),
        (score("bb"), True, "also", "still used by `aa`", "1 unchanged, 1 kept"),
    )
    for source, prune, name, reason, summary in steps:
        planned = house.plan(source, prune=prune)
        assert planned.plan is not None
        assert (planned.plan.has_changes, planned.plan.destructive, planned.plan.summary) == (True, False, summary)
        assert reasons(planned)[name] == reason
        assert house.submit(source, prune=prune).execution_ids == ()
        again = house.plan(source, prune=prune).plan
        assert again is not None
        assert not again.has_changes
    assert set(house.resources("aa")) == {"db", "workload"}


def test_two_applications_that_name_a_new_resource_at_once_share_it(house: House) -> None:
    barrier = threading.Barrier(4)
    errors: list[BaseException] = []

    def submit(name: str) -> None:
        barrier.wait(5)
        try:
            house.submit(score(name, one={"type": "database", "id": "one"}, two={"type": "database", "id": "two"}))
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=submit, args=(f"app{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    house.rest()
    assert {house.status(f"app{n}") for n in range(4)} == {"active"}
    assert len([r for r in resources.listed(house.platform).items if r.key.type == "database"]) == 2


def test_environments_are_apart(house: House) -> None:
    house.submit(score(db="database"))
    house.submit(score(db="database"), environment="staging")
    house.rest()
    assert house.resources("shop")["db"].id != house.resources("shop", environment="staging")["db"].id
    house.delete("shop", environment="staging")
    house.rest()
    assert house.status("shop") == "active"
    assert applications.listed_environments(house.platform) == [("default", 1)]
