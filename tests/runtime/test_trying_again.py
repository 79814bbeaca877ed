"""What fails: timeouts, retries of a step, another attempt of the execution, words for what went wrong."""

from pathlib import Path

import pytest

from engine.domain.values import ExecutionId
from engine.store.database import Store
from tests.support.platforms import House, running_platform
from tests.support.providers import script, values, workflow, write_provider

DIR = [{"name": "dir", "type": "string", "required": True}]
COUNT = 'echo x >> "$PARAM_DIR/tries"; [ $(wc -l < "$PARAM_DIR/tries") -ge %d ] || exit %d'

GOLDEN = {
    "third-time": workflow(
        [script("flaky", COUNT % (3, 1), retry={"max": 3, "backoff": "100ms"}), values("after", a=1)], parameters=DIR
    ),
    "gives-up": workflow([script("flaky", COUNT % (9, 1), retry={"max": 2, "backoff": "10ms"})], parameters=DIR),
    "says-later": workflow([script("later", COUNT % (2, 75), retry={"max": 1, "backoff": "10ms"})], parameters=DIR),
    "soon": workflow([script("soon", COUNT % (2, 1), retry={"max": 1, "backoff": "500ms"})], parameters=DIR),
    "later": workflow([script("later", COUNT % (2, 1), retry={"max": 1, "backoff": "1s"})], parameters=DIR),
    "once": workflow([script("fails", COUNT % (9, 1))], parameters=DIR),
    "wrong-config": workflow(
        [
            values("one", n="x"),
            {"name": "two", "type": "http", "retry": {"max": 5}, "config": {"url": "{{ steps.one.outputs.n }}"}},
        ]
    ),
    "sleeps": workflow([script("sleeps", "sleep 30", timeout="300ms"), values("after", a=1)]),
    "nowhere": workflow([{"name": "asks", "type": "http", "config": {"url": "http://127.0.0.1:1/"}}]),
    "halfway": workflow(
        [
            script("effect", 'echo effect >> "$PARAM_DIR/effects"'),
            script("second", '[ -e "$PARAM_DIR/go" ]'),
            {**script("mends", 'echo mends >> "$PARAM_DIR/effects"'), "when": "on_failure"},
        ],
        parameters=DIR,
    ),
}


def test_a_step_is_tried_again_after_a_pause_that_doubles(house: House, tmp_path: Path) -> None:
    done = house.run("third-time", dir=str(tmp_path))
    assert done.state == "succeeded"
    assert house.step_states(done.id) == [
        ("flaky", 1, "failed"), ("flaky", 2, "failed"), ("flaky", 3, "succeeded"), ("after", 1, "succeeded")
    ]  # fmt: skip
    runs = house.steps(done.id)[:3]
    assert [run.reason for run in runs] == ["retry", "retry", ""]
    ends = [run.finished_at for run in runs]
    assert ends[0] is not None and ends[1] is not None and ends[2] is not None  # noqa: PT018 - for the type checker
    assert (ends[1] - ends[0]).total_seconds() >= 0.1
    assert (ends[2] - ends[1]).total_seconds() >= 0.2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_pause_ends_by_itself_when_several_sleep(store: Store, tmp_path: Path) -> None:
    provider = write_provider(tmp_path / "team", golden=GOLDEN)
    with running_platform(store, tmp_path, [provider], sweep_seconds=3600.0) as house:
        started: list[ExecutionId] = []
        for name in ("soon", "later"):
            (tmp_path / name).mkdir()
            started.append(house.execute(name, dir=str(tmp_path / name)))
            house.step_in(started[-1], name, "waiting")
        assert [house.ended(one).state for one in started] == ["succeeded", "succeeded"]


def test_when_every_try_failed_the_last_one_says_why(house: House, tmp_path: Path) -> None:
    done = house.run("gives-up", dir=str(tmp_path))
    assert (done.state, done.reason) == ("failed", "step_failed")
    assert [run.reason for run in house.steps(done.id)] == ["retry", "retry", "exit_1"]
    assert (tmp_path / "tries").read_text().split() == ["x"] * 3


def test_a_script_may_ask_for_a_later_try(house: House, tmp_path: Path) -> None:
    done = house.run("says-later", dir=str(tmp_path))
    assert [state for *_, state in house.step_states(done.id)] == ["failed", "succeeded"]


def test_a_step_without_retries_is_tried_once(house: House, tmp_path: Path) -> None:
    assert house.run("once", dir=str(tmp_path)).state == "failed"
    assert (tmp_path / "tries").read_text().split() == ["x"]


def test_what_can_never_succeed_is_not_tried_again(house: House) -> None:
    done = house.run("wrong-config")
    assert done.state == "failed"
    assert house.step_states(done.id) == [("one", 1, "succeeded"), ("two", 1, "failed")]


def test_a_step_that_takes_too_long_is_ended_and_says_so(house: House) -> None:
    done = house.run("sleeps")
    assert done.state == "failed"
    assert done.duration_ms is not None
    assert done.duration_ms < 5000
    assert "time" in done.error
    assert house.step_states(done.id)[-1] == ("after", 1, "upstream_failed")


@pytest.mark.parametrize(
    ("name", "reason"), [("sleeps", "timeout"), ("nowhere", "unreachable"), ("wrong-config", "invalid")]
)
def test_what_a_step_failed_with_stays_on_record_for_machines(house: House, name: str, reason: str) -> None:
    runs = {run.name: run for run in house.steps(house.run(name).id) if run.state == "failed"}
    assert [run.reason for run in runs.values()] == [reason]


def test_another_attempt_keeps_what_is_done_and_runs_the_rest(house: House, tmp_path: Path) -> None:
    first = house.run("halfway", dir=str(tmp_path))
    assert first.state == "failed"
    (tmp_path / "go").touch()
    again = house.ended(house.retry(first.id))
    assert (again.id, again.state, again.attempt) == (first.id, "succeeded", 2)
    assert (tmp_path / "effects").read_text().split() == ["effect", "mends"]
    assert house.step_states(first.id) == [
        ("effect", 1, "succeeded"), ("second", 1, "failed"), ("second", 2, "succeeded"),
        ("mends", 1, "succeeded"), ("mends", 2, "skipped"),
    ]  # fmt: skip
    assert again.completed_steps <= again.total_steps
