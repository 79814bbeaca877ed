"""What an answer to "why?" holds besides the class: what is left, whether to retry, what to do, and within which bounds."""

from pathlib import Path

import pytest

from engine.domain.diagnosis import Do, RetrySafety
from engine.domain.values import ExecutionId, ResourceId
from engine.errors import NotFound
from engine.services import diagnosis
from engine.store import resources as resource_rows
from tests.services.conftest import House
from tests.support.score import score


def fragile(flag: Path, **params: object) -> dict[str, object]:
    return {"type": "fragile", "params": {"needs_file": str(flag), **params}}


def test_what_works_is_not_explained_and_what_is_unknown_is_said_to_be(house: House) -> None:
    made = house.submit(score(db="database"))
    house.rest()
    assert diagnosis.of_resource(house.platform, house.resources("shop")["db"].id) is None
    assert diagnosis.of_execution(house.platform, made.execution_ids[0]) is None
    with pytest.raises(NotFound, match="execution"):
        diagnosis.of_execution(house.platform, ExecutionId(999))
    with pytest.raises(NotFound, match="resource"):
        diagnosis.of_resource(house.platform, ResourceId(999))


def test_a_blocked_resource_leads_to_the_one_that_failed_and_to_its_retry_alone(house: House, tmp_path: Path) -> None:
    needs = {"type": "database", "params": {"note": "${resources.frail.host}"}}
    house.submit(score(frail=fragile(tmp_path / "never"), db=needs, extra="cache"))
    house.rest()
    found = house.resources("shop")
    why = diagnosis.of_resource(house.platform, found["db"].id)
    assert why is not None
    assert [node.resource for node in why.chain] == ["database/shop.db", "fragile/shop.frail"]
    assert why.chain[0].why == "waits for `fragile/shop.frail`, which is failed"
    assert why.node == why.chain[-1]
    repeats = [move.resource_id for move in why.moves if move.do is Do.RETRY_RESOURCE]
    assert repeats == [found["frail"].id], "what is blocked goes on by itself"
    assert [left.how for left in why.left_behind if left.kind == "resources"] == [
        "its resources: 1 active, 2 blocked, 1 failed"
    ]


def test_what_was_repeated_with_success_is_told_as_over(house: House, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    made = house.submit(score(frail=fragile(flag)))
    house.rest()
    flag.touch()
    house.submit(score(frail=fragile(flag, size=2)))
    house.rest()
    assert house.states("shop")["frail"] == "active"
    why = diagnosis.of_execution(house.platform, made.execution_ids[0])
    assert why is not None
    assert why.retry.safety is RetrySafety.POINTLESS
    assert "moved on" in why.retry.why
    assert not any(move.do in {Do.RETRY_RESOURCE, Do.RETRY_EXECUTION, Do.CORRECT_SPEC} for move in why.moves)
    newest = house.resources("shop")["frail"].execution_id
    assert (why.moves[0].do, why.moves[0].execution_id) == (Do.SEE_EXECUTION, newest)


def test_asking_twice_gives_the_same_answer(house: House, tmp_path: Path) -> None:
    house.submit(score(frail=fragile(tmp_path / "never"), other=fragile(tmp_path / "never")))
    house.rest()
    workload = house.resources("shop")["workload"].id
    first = diagnosis.of_resource(house.platform, workload)
    assert first is not None
    assert [one.name for one in first.also] in (["resource `fragile/shop.other`"], ["resource `fragile/shop.frail`"])
    assert all(diagnosis.of_resource(house.platform, workload) == first for _ in range(3))


def test_resources_that_block_each_other_in_a_circle_are_explained_all_the_same(house: House, tmp_path: Path) -> None:
    needs = {"type": "database", "params": {"note": "${resources.frail.host}"}}
    house.submit(score(frail=fragile(tmp_path / "never"), one=needs, two=needs))
    house.rest()
    found = house.resources("shop")
    one, two = found["one"].id, found["two"].id
    with house.platform.store.begin() as tx:
        table = resource_rows.resources
        for mine, other in ((one, two), (two, one)):
            tx.connection.execute(table.update().where(table.c.id == mine).values(blocked_by=other))
    why = diagnosis.of_resource(house.platform, one)
    assert why is not None
    assert (why.cause, len(why.chain)) == ("dependency", 2)
