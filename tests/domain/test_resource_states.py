import itertools
from dataclasses import replace

import pytest

from engine.domain import place
from engine.domain.place import Place
from engine.domain.provider import Operation
from engine.domain.resource import (
    AWAITS_TURN,
    IN_PROGRESS,
    PROVISIONED,
    TRANSITIONS,
    Outcome,
    Resource,
    ResourceKey,
    ResourceState,
    RunEnd,
    check_transition,
    resolve,
    settle,
    start,
)
from engine.domain.values import ApplicationId, ResourceId
from engine.errors import Conflict

S = ResourceState
LEGAL = {
    S.REQUESTED: {S.PROVISIONING, S.BLOCKED, S.TERMINATING, S.TERMINATED},
    S.BLOCKED: {S.REQUESTED, S.TERMINATING, S.TERMINATED},
    S.PROVISIONING: {S.ACTIVE, S.FAILED},
    S.ACTIVE: {S.UPDATING, S.DEGRADED, S.TERMINATING, S.TERMINATED},
    S.DEGRADED: {S.UPDATING, S.ACTIVE, S.TERMINATING, S.TERMINATED},
    S.UPDATING: {S.ACTIVE, S.FAILED},
    S.TERMINATING: {S.TERMINATED, S.FAILED},
    S.FAILED: {S.PROVISIONING, S.UPDATING, S.TERMINATING, S.ACTIVE, S.TERMINATED},
    S.TERMINATED: {S.REQUESTED},
}


def resource(state: S = S.REQUESTED, **changes: object) -> Resource:
    made = Resource(
        id=ResourceId(1),
        key=ResourceKey("default", "database", "default", "shop.db"),
        application_id=ApplicationId(1),
        application="shop",
        name="db",
        params={},
        state=state,
        provider="team",
        digest="d1",
        pending=Operation.CREATE,
    )
    return replace(made, **changes)  # pyright: ignore[reportArgumentType] # fields by name


@pytest.mark.parametrize(("before", "after"), list(itertools.product(S, S)))
def test_every_pair_of_states_is_legal_or_refused_as_the_design_says(before: S, after: S) -> None:
    if after in LEGAL[before]:
        check_transition(before, after)
        assert resource(before).moved(after).state is after
        return
    with pytest.raises(Conflict) as refused:
        check_transition(before, after, subject="Resource `x`")
    assert refused.value.code == "illegal_transition"
    assert str(before) in refused.value.hint


def test_the_table_knows_every_state() -> None:
    assert set(TRANSITIONS) == set(S)
    assert not IN_PROGRESS & PROVISIONED


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("operation", [Operation.CREATE, Operation.UPDATE, Operation.DELETE])
def test_a_start_reaches_the_state_of_its_operation_or_is_refused(state: S, operation: Operation) -> None:
    reached = {Operation.CREATE: S.PROVISIONING, Operation.UPDATE: S.UPDATING, Operation.DELETE: S.TERMINATING}[
        operation
    ]
    waiting = resource(state, pending=operation, blocked_by=ResourceId(7))
    if reached in LEGAL[state]:
        assert (start(waiting).state, start(waiting).blocked_by) == (reached, None)
        return
    with pytest.raises(Conflict):
        start(waiting)


def test_nothing_pending_starts_nothing() -> None:
    with pytest.raises(Conflict, match="no pending operation"):
        start(resource(pending=None))


def test_success_stores_outputs_and_leaves_nothing_pending() -> None:
    end = RunEnd(Operation.CREATE, 1, Outcome.SUCCEEDED, {"host": "h"}, frozenset({"host"}), "f1")
    after = settle(resource(S.PROVISIONING), end)
    assert (after.state, after.outputs, after.pending, after.observed_generation) == (S.ACTIVE, {"host": "h"}, None, 1)
    assert after.settled


@pytest.mark.parametrize(
    ("operation", "state", "pending", "expected", "next_state"),
    [
        (Operation.CREATE, S.PROVISIONING, Operation.CREATE, Operation.UPDATE, S.ACTIVE),
        (Operation.CREATE, S.PROVISIONING, Operation.DELETE, Operation.DELETE, S.ACTIVE),
        (Operation.UPDATE, S.UPDATING, Operation.UPDATE, Operation.UPDATE, S.ACTIVE),
        (Operation.UPDATE, S.UPDATING, Operation.DELETE, Operation.DELETE, S.ACTIVE),
        (Operation.DELETE, S.TERMINATING, Operation.CREATE, Operation.CREATE, S.REQUESTED),
        (Operation.DELETE, S.TERMINATING, Operation.DELETE, None, S.TERMINATED),
    ],
)
def test_a_newer_wish_follows_a_run_that_succeeded(
    operation: Operation, state: S, pending: Operation, expected: Operation | None, next_state: S
) -> None:
    running = resource(state, pending=pending, desired_generation=2, outputs={"host": "old"})
    after = settle(running, RunEnd(operation, 1, Outcome.SUCCEEDED, {"host": "new"}, fingerprint="f"))
    assert (after.pending, after.state) == (expected, next_state)
    assert after.outputs == ({} if operation is Operation.DELETE else {"host": "new"})


@pytest.mark.parametrize(
    ("operation", "state", "pending", "generation", "expected"),
    [
        (Operation.CREATE, S.PROVISIONING, Operation.CREATE, 1, Operation.CREATE),
        (Operation.CREATE, S.PROVISIONING, Operation.UPDATE, 2, Operation.CREATE),
        (Operation.CREATE, S.PROVISIONING, Operation.DELETE, 2, Operation.DELETE),
        (Operation.UPDATE, S.UPDATING, Operation.UPDATE, 1, Operation.UPDATE),
        (Operation.DELETE, S.TERMINATING, Operation.DELETE, 1, Operation.DELETE),
        (Operation.DELETE, S.TERMINATING, Operation.CREATE, 2, Operation.CREATE),
    ],
)
@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.CANCELLED])
def test_a_retry_repeats_what_failed_or_does_what_was_asked_for_meanwhile(
    operation: Operation, state: S, pending: Operation, generation: int, expected: Operation, outcome: Outcome
) -> None:
    running = resource(state, pending=pending, desired_generation=generation, outputs={"host": "old"})
    after = settle(running, RunEnd(operation, 1, outcome, error="broke"))
    assert (after.state, after.pending, after.error) == (S.FAILED, expected, "broke")
    assert after.reason == outcome.value
    assert after.outputs == {"host": "old"}


def test_health_moves_only_between_active_and_degraded() -> None:
    failed, fine = (RunEnd(Operation.READ, 1, outcome) for outcome in (Outcome.FAILED, Outcome.SUCCEEDED))
    for state in S:
        before = resource(state)
        assert settle(before, failed).state is (S.DEGRADED if state is S.ACTIVE else state)
        assert settle(before, fine).state is (S.ACTIVE if state is S.DEGRADED else state)
        assert settle(before, RunEnd(Operation.READ, 1, Outcome.CANCELLED)) == before


HOME, AWAY = Place("1", "here", "/a"), Place("2", "there", "/b c:d")


@pytest.mark.parametrize(
    ("operation", "state", "outcome", "before", "ran", "after"),
    [
        (Operation.CREATE, S.PROVISIONING, Outcome.SUCCEEDED, None, HOME, HOME),
        (Operation.CREATE, S.PROVISIONING, Outcome.SUCCEEDED, HOME, AWAY, AWAY),
        (Operation.CREATE, S.PROVISIONING, Outcome.SUCCEEDED, None, None, None),
        (Operation.CREATE, S.PROVISIONING, Outcome.FAILED, None, HOME, HOME),
        (Operation.CREATE, S.PROVISIONING, Outcome.CANCELLED, HOME, None, HOME),
        (Operation.UPDATE, S.UPDATING, Outcome.SUCCEEDED, HOME, HOME, HOME),
        (Operation.UPDATE, S.UPDATING, Outcome.SUCCEEDED, None, HOME, HOME),
        (Operation.UPDATE, S.UPDATING, Outcome.FAILED, None, HOME, None),
        (Operation.DELETE, S.TERMINATING, Outcome.SUCCEEDED, HOME, HOME, None),
        (Operation.DELETE, S.TERMINATING, Outcome.FAILED, HOME, AWAY, HOME),
        (Operation.READ, S.ACTIVE, Outcome.SUCCEEDED, None, HOME, HOME),
        (Operation.READ, S.ACTIVE, Outcome.FAILED, None, HOME, None),
        (Operation.READ, S.ACTIVE, Outcome.FAILED, HOME, HOME, HOME),
    ],
)
def test_a_resource_lives_where_it_was_made(
    operation: Operation, state: S, outcome: Outcome, before: Place | None, ran: Place | None, after: Place | None
) -> None:
    settled = settle(resource(state, pending=None, place=before), RunEnd(operation, 1, outcome, place=ran))
    assert settled.place == after


def test_a_check_that_ran_in_another_place_has_seen_nothing() -> None:
    for state in (S.ACTIVE, S.DEGRADED):
        for outcome in Outcome:
            before = resource(state, place=HOME)
            assert settle(before, RunEnd(Operation.READ, 1, outcome, error="not here", place=AWAY)) == before


def test_what_a_person_calls_gone_lives_nowhere() -> None:
    assert resolve(resource(S.FAILED, place=HOME), as_state=S.TERMINATED).place is None
    assert resolve(resource(S.FAILED, place=HOME), as_state=S.ACTIVE).place == HOME


def test_a_place_is_read_as_it_was_written_and_known_by_its_id_alone() -> None:
    assert [place.parse(str(found)) for found in (HOME, AWAY)] == [HOME, AWAY]
    assert place.parse("") is None
    assert HOME.is_same(replace(AWAY, id="1"))
    assert not HOME.is_same(replace(HOME, id="2"))


def test_only_what_failed_is_set_straight() -> None:
    for state in S:
        for wish in (S.ACTIVE, S.TERMINATED):
            left = resource(state, desired_generation=3)
            if state is S.FAILED:
                after = resolve(left, as_state=wish)
                assert (after.state, after.pending, after.observed_generation) == (wish, None, 3)
            else:
                with pytest.raises(Conflict, match="only a failed resource"):
                    resolve(left, as_state=wish)


def test_what_awaits_its_turn_has_failed_and_is_asked_for_again() -> None:
    assert resource(S.FAILED, reason=AWAITS_TURN).awaits_turn
    assert not resource(S.FAILED, reason="failed").awaits_turn
    assert not resource(S.ACTIVE, reason=AWAITS_TURN).awaits_turn
    assert not start(resource(S.FAILED, reason=AWAITS_TURN)).awaits_turn


def test_a_key_is_written_with_its_class_only_where_it_has_one() -> None:
    assert str(ResourceKey("e", "db", "default", "a.b")) == "db/a.b"
    assert str(ResourceKey("e", "db", "large", "a.b")) == "db.large/a.b"
