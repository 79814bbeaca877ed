import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.execution import (
    EXECUTION_TRANSITIONS,
    FINAL,
    STEP_FINAL,
    STEP_TRANSITIONS,
    ExecutionState,
    StepState,
    advance,
    keeps_on_retry,
)
from engine.domain.workflow import Step, When, Workflow

E = ExecutionState
T = StepState
LEGAL = {
    E.PENDING: {E.RUNNING, E.CANCELLED, E.FAILED},
    E.RUNNING: {E.WAITING, E.SUCCEEDED, E.FAILED, E.CANCELLED},
    E.WAITING: {E.RUNNING, E.CANCELLED, E.FAILED},
    E.SUCCEEDED: set[E](),
    E.FAILED: {E.PENDING},
    E.CANCELLED: {E.PENDING},
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(E, E)))
def test_every_pair_of_execution_states_is_legal_or_not(before: E, after: E) -> None:
    assert (after in EXECUTION_TRANSITIONS[before]) == (after in LEGAL[before])


def test_the_tables_know_every_state_and_what_is_final_ends() -> None:
    assert set(EXECUTION_TRANSITIONS) == set(E)
    assert set(STEP_TRANSITIONS) == set(T)
    assert all(not STEP_TRANSITIONS[state] for state in STEP_FINAL)
    assert all(STEP_TRANSITIONS[state] for state in set(T) - STEP_FINAL)
    assert {E.SUCCEEDED, E.FAILED, E.CANCELLED} == set(FINAL)


def flow(*steps: Step) -> Workflow:
    return Workflow("w", steps)


def step(name: str, *needs: str, when: When = When.ON_SUCCESS, condition: str | None = None) -> Step:
    return Step(name, "set", needs=needs, when=when, condition=condition)


def yes(_step: Step) -> bool:
    return True


def no(_step: Step) -> bool:
    return False


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    steps: list[Step] = []
    for index in range(draw(st.integers(1, 7))):
        needs = draw(st.sets(st.sampled_from([s.name for s in steps]), max_size=3)) if steps else set[str]()
        when = draw(st.sampled_from(list(When)))
        condition = draw(st.sampled_from([None, "true", "false"]))
        steps.append(step(f"s{index}", *sorted(needs), when=when, condition=condition))
    return flow(*steps)


@given(workflow=workflows(), data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_run_starts_nothing_before_its_needs_and_always_ends(workflow: Workflow, data: st.DataObject) -> None:
    states: dict[str, StepState] = {}
    asked: list[str] = []

    def holds(asked_for: Step) -> bool:
        asked.append(asked_for.name)
        return asked_for.condition != "false"

    for _ in range(3 * len(workflow.steps) + 1):
        move = advance(workflow, states, holds=holds)
        for left_out, verdict in move.skip:
            assert left_out.name not in states
            states[left_out.name] = verdict
        for started in move.start:
            assert states.get(started.name, T.PENDING) is T.PENDING
            assert all(states[need] in STEP_FINAL for need in started.needs)
            states[started.name] = T.RUNNING
        if move.finished is not None:
            break
        running = sorted(name for name, state in states.items() if state is T.RUNNING)
        assert running, "neither at work nor over"
        ended = data.draw(st.sampled_from(running))
        states[ended] = data.draw(st.sampled_from([T.SUCCEEDED, T.FAILED, T.CANCELLED]))
    else:
        raise AssertionError("it never ends")
    assert set(states) == {s.name for s in workflow.steps}
    assert set(states.values()) <= STEP_FINAL
    assert len(asked) == len(set(asked))
    wanted = E.CANCELLED if T.CANCELLED in states.values() else E.FAILED if T.FAILED in states.values() else E.SUCCEEDED
    assert move.finished is wanted
    for each in workflow.steps:
        bad = [need for need in each.needs if states[need] in {T.FAILED, T.CANCELLED, T.UPSTREAM_FAILED}]
        if bad and each.when in {When.ON_SUCCESS, When.MANUAL}:
            assert states[each.name] is T.UPSTREAM_FAILED
        if each.needs and not bad and each.when is When.ON_FAILURE:
            assert states[each.name] is T.SKIPPED


def test_skips_are_followed_through_in_one_answer() -> None:
    move = advance(flow(step("a", condition="x"), step("b", "a"), step("c", "b")), {}, holds=no)
    assert [(s.name, verdict) for s, verdict in move.skip] == [("a", T.SKIPPED)]
    assert [s.name for s in move.start] == ["b"]


def test_what_fails_stops_what_needs_it_and_nothing_else() -> None:
    workflow = flow(step("a"), step("b", "a"), step("c", "b"), step("d"))
    move = advance(workflow, {"a": T.FAILED, "d": T.RUNNING}, holds=yes)
    assert {s.name: v for s, v in move.skip} == {"b": T.UPSTREAM_FAILED, "c": T.UPSTREAM_FAILED}
    assert move.finished is None
    done = advance(
        workflow, {"a": T.FAILED, "b": T.UPSTREAM_FAILED, "c": T.UPSTREAM_FAILED, "d": T.SUCCEEDED}, holds=yes
    )
    assert done.finished is E.FAILED


def test_always_and_on_failure_run_after_a_failure() -> None:
    workflow = flow(step("a"), step("clean", "a", when=When.ALWAYS), step("tell", "a", when=When.ON_FAILURE))
    assert [s.name for s in advance(workflow, {"a": T.FAILED}, holds=yes).start] == ["clean", "tell"]
    fine = advance(workflow, {"a": T.SUCCEEDED}, holds=yes)
    assert [s.name for s in fine.start] == ["clean"]
    assert fine.skip[0][1] is T.SKIPPED


def test_a_workflow_whose_steps_are_all_skipped_succeeds() -> None:
    assert advance(flow(step("a", condition="x")), {}, holds=no).finished is E.SUCCEEDED


def test_a_retry_keeps_what_succeeded_but_runs_what_handles_failures_again() -> None:
    assert keeps_on_retry(step("a"), T.SUCCEEDED)
    assert not keeps_on_retry(step("a"), T.FAILED)
    assert not keeps_on_retry(step("a", when=When.ON_FAILURE), T.SUCCEEDED)
