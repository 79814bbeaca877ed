"""The runner: chains, needs, parallel steps, conditions, what runs when, people."""

from pathlib import Path

import pytest

from engine.errors import Conflict
from engine.services import executions
from tests.support.platforms import ME, House
from tests.support.providers import script, values, workflow

FAILS = "exit 3"
TAIL = [{"name": "tail", "type": "string", "default": "b"}]
SIZE = [{"name": "size", "type": "string", "default": "small"}]
DIR = [{"name": "dir", "type": "string", "required": True}]
MEET = 'touch "$PARAM_DIR/%s"; for i in $(seq 100); do [ -e "$PARAM_DIR/%s" ] && exit 0; sleep 0.05; done; exit 1'

GOLDEN = {
    "chain": workflow(
        [
            values("one", count=2, name="a"),
            values(
                "two", sum="{{ steps.one.outputs.count + 1 }}", text="{{ steps.one.outputs.name }}{{ parameters.tail }}"
            ),
        ],
        parameters=TAIL,
    ),
    "hello": workflow([script("say", 'echo "greeting=hi" >> $INNOMINATUS_OUTPUT; echo said')]),
    "meeting": workflow(
        [
            {**script("left", MEET % ("left", "right")), "needs": []},
            {**script("right", MEET % ("right", "left")), "needs": []},
            {**values("after", met=True), "needs": ["left", "right"]},
        ],
        parameters=DIR,
    ),
    "diamond": workflow(
        [
            values("top", n=1),
            {**values("left", n="{{ steps.top.outputs.n + 1 }}"), "needs": ["top"]},
            {**values("right", n="{{ steps.top.outputs.n + 2 }}"), "needs": ["top"]},
            {
                **values("bottom", n="{{ steps.left.outputs.n * 10 + steps.right.outputs.n }}"),
                "needs": ["left", "right"],
            },
        ]
    ),
    "thirty": workflow(
        [{**values(f"s{i}", n=i), "needs": list[str]()} for i in range(30)]
        + [{**values("last", done=True), "needs": [f"s{i}" for i in range(30)]}]
    ),
    "conditions": workflow(
        [
            values("first", a=1),
            {**values("large", b=1), "if": "{{ parameters.size == 'large' }}"},
            {**values("always-after", c=1), "if": "steps.first.outputs.a == 1"},
        ],
        parameters=SIZE,
    ),
    "unclear": workflow(
        [
            values("first", a=1),
            {**values("second", b=1), "if": "{{ steps.first.outputs.missing > 3 }}"},
            values("third", c=1),
        ]
    ),
    "repair": workflow(
        [
            script("breaks", FAILS),
            values("never", a=1),
            {**values("mends", b=1), "when": "on_failure"},
            {**values("cleans", c=1), "when": "always"},
        ]
    ),
    "well": workflow(
        [
            values("works", a=1),
            {**values("mends", b=1), "when": "on_failure"},
            {**values("cleans", c=1), "when": "always"},
        ]
    ),
    "gate": workflow([values("before", a=1), {**values("gate", b=2), "when": "manual"}, values("after", c=3)]),
    "two-failures": workflow(
        [
            {**script("left", "echo left >&2; exit 1"), "needs": []},
            {**script("right", "echo right >&2; exit 2"), "needs": []},
            {**values("join", a=1), "needs": ["left", "right"]},
        ]
    ),
    "bad-outputs": workflow([values("one", a=1)], outputs={"b": "{{ steps.one.outputs.nothing }}"}),
    "no-steps-to-run": workflow([{**values("never", a=1), "if": "{{ false }}"}]),
}


def test_a_chain_hands_outputs_on_and_keeps_their_types(house: House) -> None:
    done = house.run("chain")
    assert (done.state, done.outputs.values) == ("succeeded", {"sum": 3, "text": "ab"})


def test_a_script_gives_outputs_and_its_words_are_kept(house: House) -> None:
    done = house.run("hello")
    assert (done.state, done.outputs.values) == ("succeeded", {"greeting": "hi"}), done
    assert "said" in house.log(done.id)


def test_steps_that_need_nothing_are_at_work_at_the_same_time(house: House, tmp_path: Path) -> None:
    done = house.run("meeting", dir=str(tmp_path))
    assert (done.state, done.outputs.values) == ("succeeded", {"met": True}), done.error


def test_a_diamond_comes_together_with_the_outputs_of_both_sides(house: House) -> None:
    assert house.run("diamond").outputs.values == {"n": 23}


def test_thirty_steps_side_by_side_all_end_before_the_one_that_needs_them(house: House) -> None:
    done = house.run("thirty")
    assert done.state == "succeeded"
    assert (done.completed_steps, done.total_steps) == (31, 31)
    runs = {run.name: run for run in house.steps(done.id)}
    last = runs.pop("last").started_at
    assert last is not None
    assert all(run.finished_at is not None and run.finished_at <= last for run in runs.values())


def test_a_step_whose_condition_does_not_hold_is_skipped_and_the_next_goes_on(house: House) -> None:
    small, large = house.run("conditions"), house.run("conditions", size="large")
    assert [(name, state) for name, _, state in house.step_states(small.id)] == [
        ("first", "succeeded"), ("large", "skipped"), ("always-after", "succeeded")
    ]  # fmt: skip
    assert [state for *_, state in house.step_states(large.id)] == ["succeeded"] * 3


def test_a_condition_without_a_value_fails_its_step_and_says_why(house: House) -> None:
    done = house.run("unclear")
    assert (done.state, done.reason) == ("failed", "step_failed")
    assert "missing" in done.error
    assert [(name, state) for name, _, state in house.step_states(done.id)] == [
        ("first", "succeeded"), ("second", "failed"), ("third", "upstream_failed")
    ]  # fmt: skip


def test_after_a_failure_the_rest_is_left_out_but_for_what_mends_and_cleans(house: House) -> None:
    done = house.run("repair")
    assert done.state == "failed"
    assert "breaks" in done.error
    assert [(name, state) for name, _, state in house.step_states(done.id)] == [
        ("breaks", "failed"), ("never", "upstream_failed"), ("mends", "succeeded"), ("cleans", "succeeded")
    ]  # fmt: skip


def test_what_mends_is_skipped_when_all_is_well_and_what_cleans_runs(house: House) -> None:
    done = house.run("well")
    assert done.state == "succeeded"
    assert [state for *_, state in house.step_states(done.id)] == ["succeeded", "skipped", "succeeded"]


def test_a_manual_step_waits_without_a_thread_until_a_person_continues_it(house: House) -> None:
    waiting = [house.execute("gate") for _ in range(8)]  # more than there are threads
    for execution_id in waiting:
        house.step_in(execution_id, "gate", "waiting")
    assert house.run("chain").state == "succeeded"
    with pytest.raises(Conflict, match="does not wait"):
        executions.resume(house.platform, ME, waiting[0], "before")
    for execution_id in waiting:
        executions.resume(house.platform, ME, execution_id, "gate")
    for execution_id in waiting:
        assert house.ended(execution_id).outputs.values == {"c": 3}
        assert house.step_states(execution_id) == [
            ("before", 1, "succeeded"), ("gate", 1, "succeeded"), ("after", 1, "succeeded")
        ]  # fmt: skip


def test_two_branches_that_fail_are_both_on_record(house: House) -> None:
    done = house.run("two-failures")
    assert done.state == "failed"
    assert (done.failed_steps, done.completed_steps) == (2, 0)
    assert {run.name: run.state.value for run in house.steps(done.id)} == {
        "left": "failed", "right": "failed", "join": "upstream_failed"
    }  # fmt: skip
    assert "left" in done.error or "right" in done.error


def test_an_output_without_a_value_fails_the_execution_and_its_steps_stand(house: House) -> None:
    done = house.run("bad-outputs")
    assert (done.state, done.reason) == ("failed", "invalid")
    assert done.error.startswith("outputs: ")
    assert "nothing" in done.error
    assert house.step_states(done.id) == [("one", 1, "succeeded")]


def test_a_workflow_of_skipped_steps_succeeds_with_nothing(house: House) -> None:
    done = house.run("no-steps-to-run")
    assert (done.state, done.outputs.values) == ("succeeded", {})
