"""Dry runs, plan hashes, idempotency keys, limits: what a submission promises before anything runs."""

import threading
from typing import Any

import pytest

from engine.domain.values import Actor, ActorKind, JsonObject
from engine.errors import Conflict, Invalid, NotFound
from engine.services import applications, deletions, executions, submissions
from engine.services.submissions import Submission
from tests.services.conftest import ME, Build
from tests.support.score import score


def test_a_dry_run_writes_nothing(build: Build) -> None:
    house = build(engine=False)
    empty = house.row_counts()
    planned = house.plan(score(db="database"))
    assert planned.applied is False
    assert house.row_counts() == empty
    house.submit(score(db="database"))
    standing = house.row_counts()
    house.plan(score(db="database", cache="cache"), prune=True)
    house.plan(score("other"), environment="elsewhere")
    deletions.delete(house.platform, ME, "shop", dry_run=True)
    with pytest.raises(Invalid):
        house.plan(score(db="datbase"))
    assert house.row_counts() == standing


def test_the_hash_of_a_dry_run_applies_exactly_that_plan(build: Build) -> None:
    house = build(engine=False)
    source = score(db={"type": "database", "params": {"password": "canary-1"}})
    planned = house.plan(source)
    made = submissions.submit(house.platform, ME, source, plan_hash=planned.plan_hash)
    assert made.plan_hash == planned.plan_hash
    assert made.execution_ids != ()


def test_a_stale_plan_is_refused_and_the_new_one_told(build: Build) -> None:
    house = build(engine=False)
    planned = house.plan(score(db="database"))
    house.submit(score(db="database"))
    before = house.row_counts()
    with pytest.raises(Conflict) as refused:
        submissions.submit(house.platform, ME, score(db="database"), plan_hash=planned.plan_hash)
    assert refused.value.code == "stale_plan"
    assert refused.value.details["plan_hash"] == house.plan(score(db="database")).plan_hash
    assert any("database/shop.db" in str(item) for item in [refused.value.details["items"]])
    with pytest.raises(Conflict, match="stale"):
        deletions.delete(house.platform, ME, "shop", plan_hash=planned.plan_hash)
    assert house.row_counts() == before


def test_another_document_or_option_is_another_plan(build: Build) -> None:
    house = build(engine=False)
    db = {"type": "database", "params": {"password": "one"}}
    hashes = [
        house.plan(score(db=db)).plan_hash,
        house.plan(score(db={"type": "database", "params": {"password": "two"}})).plan_hash,
        house.plan(score(db=db), prune=True).plan_hash,
        house.plan(score(db=db), environment="staging").plan_hash,
        house.plan(score(db=db, image="two")).plan_hash,
    ]
    assert len(set(hashes)) == len(hashes)
    assert house.plan(score(db=db)).plan_hash == hashes[0]


def test_destruction_needs_the_hash_where_it_is_asked_for(build: Build) -> None:
    house = build(engine=False)
    house.submit(score(db="database"))
    with pytest.raises(Conflict) as refused:
        deletions.delete(house.platform, ME, "shop", confirm=True)
    assert refused.value.code == "plan_hash_required"
    planned = deletions.delete(house.platform, ME, "shop", dry_run=True)
    assert deletions.delete(house.platform, ME, "shop", confirm=True, plan_hash=planned.plan_hash).applied


def test_every_problem_of_a_spec_is_told_at_once_with_the_nearest_type(build: Build) -> None:
    house = build(engine=False)
    source = score(
        db="datbase",
        bad={"type": "database", "params": {"size": 1000, "colour": "red"}},
        same={"type": "database", "id": "one", "params": {"size": 1}},
        other={"type": "db", "id": "one", "params": {"size": 2}},
    )
    with pytest.raises(Invalid) as refused:
        house.submit(source)
    told = {problem.path: problem for problem in refused.value.problems}
    assert "`database`" in told["resources.db.type"].fix
    assert {"resources.bad.params.size", "resources.bad.params.colour", "resources.other"} <= set(told)
    lines = source.splitlines()
    for path, written in (
        ("resources.db.type", '"type": "datbase"'),
        ("resources.bad.params.size", '"size": 1000'),
        ("resources.bad.params.colour", '"colour": "red"'),
        ("resources.other", '"other":'),
    ):
        assert lines[told[path].line - 1][told[path].column - 1 :].startswith(written)
    assert house.row_counts()["applications"] == 0


def test_an_output_that_nobody_gives_is_told_before_anything_is_made(build: Build) -> None:
    house = build(engine=False)
    empty = house.row_counts()
    reader = {"type": "cache", "params": {"note": "${resources.db.seeen}"}}
    source = score(variables={"KEY": "k=${resources.db.kye}"}, db="database", reader=reader)
    lines = source.splitlines()
    for ask in (house.plan, house.submit):
        with pytest.raises(Invalid) as refused:
            ask(source)
        assert refused.value.code == "unknown_output"
        told = {problem.path: problem for problem in refused.value.problems}
        assert set(told) == {"containers.main.variables.KEY", "resources.reader.params.note"}
        assert [problem.fix for problem in told.values()] == [
            "did you mean `${resources.db.key}`?",
            "did you mean `${resources.db.seen}`?",
        ]
        assert all("${resources.db" in lines[problem.line - 1] for problem in told.values())
    assert house.row_counts() == empty


def test_a_requested_resource_reads_only_what_is_given(build: Build) -> None:
    house = build(engine=False)
    house.submit(score(db="database"))
    wanted: JsonObject = {"app_name": "shop", "resource_name": "extra", "note": "${resources.db.hsot}"}
    with pytest.raises(Invalid) as refused:
        executions.execute(house.platform, ME, "make-gated", wanted)
    assert [problem.path for problem in refused.value.problems] == ["resources.extra.params.note"]


def test_cycles_are_named(build: Build) -> None:
    house = build(engine=False)
    first = {"type": "database", "params": {"note": "${resources.second.host}"}}
    second = {"type": "database", "params": {"note": "${resources.first.host}"}}
    with pytest.raises(Invalid) as refused:
        house.submit(score(first=first, second=second))
    told = " ".join(problem.message for problem in refused.value.problems)
    assert "first" in told
    assert "second" in told


def test_a_thousand_resources_are_taken_and_one_more_is_refused(build: Build) -> None:
    house = build(engine=False)
    many: dict[str, Any] = {f"r{n}": "keeper" for n in range(1000)}
    planned = house.plan(score(**many))
    assert planned.plan is not None
    assert len(planned.plan.items) == 1001
    with pytest.raises(Invalid, match="problem"):
        house.plan(score(**many, more="keeper"))


def test_what_is_no_document_is_refused_in_words(build: Build) -> None:
    house = build(engine=False)
    for source in (b"\xff\xfe\x00", "", "\0", "a: [", "- 1", "[" * 5000, b"\xef\xbb\xbf"):
        with pytest.raises(Invalid) as refused:
            submissions.submit(house.platform, ME, source)
        assert refused.value.problems


def test_an_environment_has_a_plain_name(build: Build) -> None:
    house = build(engine=False)
    assert house.plan(score(), environment="").environment == "default"
    for name in ("Prod", "a b", "x" * 64, "-a", "a\0"):
        with pytest.raises(Invalid, match="environment"):
            house.plan(score(), environment=name)


def test_unknown_applications_are_not_found_with_the_nearest(build: Build) -> None:
    house = build(engine=False)
    house.submit(score("webshop"), environment="staging")
    with pytest.raises(NotFound, match="webshop") as missing:
        applications.get(house.platform, "webshop")
    assert "staging" in missing.value.hint
    with pytest.raises(NotFound) as near:
        applications.get(house.platform, "webshp", environment="staging")
    assert "`webshop`" in near.value.hint
    for hostile in ("\0", "a\0b", "x" * 10_000, "' or 1=1 --", chr(0xD800)):
        with pytest.raises(NotFound):
            applications.get(house.platform, hostile)
        with pytest.raises(NotFound):
            house.delete(hostile)


def test_the_same_key_gets_the_same_answer_and_another_body_a_conflict(build: Build) -> None:
    house = build(engine=False)

    def submit(source: str, actor: Actor = ME, key: str = "k") -> Submission:
        return submissions.submit(house.platform, actor, source, idempotency_key=key)

    first = submit(score(db="database"))
    rows = house.row_counts()
    again = submit(score(db="database"))
    assert again.replayed
    assert (again.plan_hash, again.execution_ids, again.version) == (first.plan_hash, first.execution_ids, 1)
    assert house.row_counts() == rows
    with pytest.raises(Conflict) as refused:
        submit(score(db="database", image="two"))
    assert refused.value.code == "idempotency_key_reused"
    assert house.row_counts() == rows
    assert not submit(score(db="database"), Actor(ActorKind.USER, "another")).replayed
    for hostile in ("", " ", "x" * 256, "a\0"):
        with pytest.raises(Invalid, match="idempotency key"):
            submit(score(), key=hostile)


def test_a_refused_request_does_not_use_up_its_key(build: Build) -> None:
    house = build(engine=False)
    with pytest.raises(Conflict, match="stale"):
        submissions.submit(house.platform, ME, score(), plan_hash="p0", idempotency_key="k")
    assert not submissions.submit(house.platform, ME, score(), idempotency_key="k").replayed


def test_twenty_of_the_same_request_at_once_have_one_effect(build: Build) -> None:
    house = build(engine=False)
    barrier = threading.Barrier(20)
    made: list[Submission] = []

    def submit() -> None:
        barrier.wait(10)
        made.append(submissions.submit(house.platform, ME, score(db="database"), idempotency_key="same"))

    threads = [threading.Thread(target=submit) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 20
    assert sum(not submission.replayed for submission in made) == 1
    assert len({(submission.plan_hash, submission.execution_ids) for submission in made}) == 1
    counts = house.row_counts()
    assert (counts["specs"], counts["executions"]) == (1, 1)


def test_lists_are_paged_and_refuse_what_is_no_cursor(build: Build) -> None:
    house = build(engine=False)
    for name in ("one", "two", "three"):
        house.submit(score(name))
    house.delete("two")
    first = applications.listed(house.platform, limit=1)
    assert [view.application.name for view in first.items] == ["one"]
    rest = applications.listed(house.platform, cursor=first.next_cursor, limit=5)
    assert "three" in [view.application.name for view in rest.items]
    assert rest.next_cursor == ""
    for hostile in ("x", "-1", "9" * 30, "1.5", "\0", chr(0x661)):
        with pytest.raises(Invalid, match="cursor"):
            applications.listed(house.platform, cursor=hostile)
