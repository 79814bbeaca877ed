"""Outputs that are secret, logs, artifacts: what is stored of a step and who sees it."""

import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.domain.values import ExecutionId
from engine.runtime.live_log import LiveLog
from engine.runtime.live_logs import LiveLogs
from engine.services import executions, views
from engine.steps.masking import Masker
from engine.steps.step_log import StepLog
from engine.store import executions as execution_rows
from engine.store import leavings
from engine.store.away import DatabaseAway
from engine.store.database import Store, Transaction
from tests.support.platforms import PATIENCE, House, until
from tests.support.providers import script, values, workflow

SECRET = "correct-horse-battery"
DIR = [{"name": "dir", "type": "string", "required": True}]
KEEP = "mkdir -p out/deep; echo one > out/deep/file; ln -s deep/file out/link; echo two > single; echo x >> $PARAM_DIR/made"
SETTINGS = {"step_log_bytes": 4000, "artifact_bytes": 100_000}

GOLDEN = {
    "whispers": workflow(
        [
            script("makes", f'echo "it is {SECRET}"; echo "key={SECRET}" >> $INNOMINATUS_OUTPUT', secretOutputs=["key"]),
            script("tells", 'echo "heard $KEY"; echo "and failed with $KEY" >&2; exit 1'),
        ]
    ),
    "takes": workflow(
        [script("prints", 'echo "got $PARAM_TOKEN"'), values("after", copy="{{ parameters.token }}")],
        parameters=[{"name": "token", "type": "string", "secret": True, "required": True}],
        outputs={"copy": "{{ steps.after.outputs.copy }}x{{ parameters.token }}"},
    ),
    "long": workflow(
        [script("talks", 'echo begun; while [ ! -e "$PARAM_DIR/go" ]; do sleep 0.05; done; echo ended')], parameters=DIR
    ),
    "long-secret": workflow(
        [
            script(
                "talks",
                f'echo {SECRET}; touch "$PARAM_DIR/there"; while [ ! -e "$PARAM_DIR/go" ]; do sleep 0.05; done; '
                f"echo key={SECRET} >> $INNOMINATUS_OUTPUT",
                secretOutputs=["key"],
            )
        ],
        parameters=DIR,
    ),
    "chats": workflow(
        [
            script(
                "chats",
                'for n in $(seq 1000); do echo "word $n"; done; sleep 0.2; touch "$PARAM_DIR/there"; '
                'while [ ! -e "$PARAM_DIR/go" ]; do sleep 0.05; done; echo "word 1001"',
            )
        ],
        parameters=DIR,
    ),
    "floods": workflow([script("floods", "echo first; seq 200000; echo last")]),
    "hands-on": workflow(
        [
            script("makes", KEEP, artifacts=["out", "single"]),
            script("reads", 'cat out/link single; [ -e "$PARAM_DIR/go" ]'),
        ],
        parameters=DIR,
    ),
    "keeps": workflow([script("makes", 'eval "$PARAM_HOW"', artifacts=["it"])],
                      parameters=[{"name": "how", "type": "string", "required": True}]),
    "nul": workflow([script("bad", r"printf 'a=x\000y\n' >> $INNOMINATUS_OUTPUT")]),
    "huge": workflow([script("bad", "printf 'a=' >> $INNOMINATUS_OUTPUT; head -c 2000000 /dev/zero | tr '\\0' x >> $INNOMINATUS_OUTPUT")]),
}  # fmt: skip
GOLDEN["whispers"]["steps"][1]["config"]["env"] = {"KEY": "{{ steps.makes.outputs.key }}"}


def everything(house: House, execution_id: ExecutionId) -> str:
    """All that a person can read of an execution."""
    view = executions.get(house.platform, execution_id, every_attempt=True)
    return f"{house.log(view.execution.id)} {views.execution_details(view.execution, view.steps)} {house.events()}"


def test_a_secret_output_is_masked_in_logs_errors_and_views_even_where_it_was_printed_before(house: House) -> None:
    done = house.run("whispers")
    assert done.state == "failed"
    assert house.steps(done.id)[0].outputs.values == {"key": SECRET}
    seen = everything(house, done.id)
    assert SECRET not in seen
    assert SECRET not in done.error
    assert "it is ***" in seen
    assert "heard ***" in seen


def test_a_secret_input_is_masked_and_so_is_what_is_made_of_it(house: House) -> None:
    done = house.run("takes", token=SECRET)
    assert done.outputs.values == {"copy": f"{SECRET}x{SECRET}"}
    assert SECRET not in everything(house, done.id)


def test_a_log_can_be_read_while_its_step_runs(house: House, tmp_path: Path) -> None:
    execution_id = house.execute("long", dir=str(tmp_path))
    until(lambda: "begun" in house.log(execution_id), seconds=5)
    assert house.steps(execution_id)[0].state == "running"
    (tmp_path / "go").touch()
    house.ended(execution_id)
    assert house.log(execution_id).split() == ["begun", "ended"]


def test_the_log_of_a_step_with_secret_outputs_is_kept_back_until_they_are_known(house: House, tmp_path: Path) -> None:
    execution_id = house.execute("long-secret", dir=str(tmp_path))
    until((tmp_path / "there").exists)
    house.engine._logs.flush()  # pyright: ignore[reportPrivateUsage] # now instead of within half a second
    assert house.log(execution_id) == ""
    (tmp_path / "go").touch()
    assert house.ended(execution_id).state == "succeeded"
    assert house.log(execution_id).split() == ["***"]


def test_a_flood_of_words_keeps_its_beginning_and_end_and_says_how_much_is_missing(house: House) -> None:
    done = house.run("floods")
    log = house.log(done.id)
    head, missing, tail = re.split(r"\[([0-9]+) lines left out\]\n", log)
    assert int(missing) > 1000
    assert head.splitlines()[0] == "first"
    assert tail.splitlines()[-1] == "last"
    assert len(head) <= 2000
    assert len(tail) <= 2000


def test_of_a_chatty_step_the_beginning_can_be_read_while_it_runs_and_its_end_afterwards(
    house: House, tmp_path: Path
) -> None:
    execution_id = house.execute("chats", dir=str(tmp_path))
    until((tmp_path / "there").exists)
    house.engine._logs.flush()  # pyright: ignore[reportPrivateUsage] # now instead of within half a second
    head = house.log(execution_id)
    assert head.splitlines()[0] == "word 1"
    assert 1900 < len(head) <= 2000
    assert "left out" not in head
    (tmp_path / "go").touch()
    house.ended(execution_id)
    log = house.log(execution_id)
    assert log.startswith(head)
    assert log.splitlines()[-1] == "word 1001"
    assert log.count("lines left out]") == 1
    assert len(log) < 4100


class Away(Store):
    """A store whose database is away when the test says so; it counts what was committed."""

    gone = False
    commits = 0

    @contextmanager
    def begin(self) -> Generator[Transaction]:
        if self.gone:
            raise DatabaseAway(Exception("away"))
        with super().begin() as tx:
            yield tx
        self.commits += 1


def _written(store: Store, execution_id: ExecutionId) -> str:
    with store.read() as tx:
        return "".join(leavings.logs(tx, execution_id).values())


def test_logs_are_stored_together_and_none_is_lost_while_the_database_is_away(store: Store) -> None:
    away = Away(store.engine, store.sealer)
    new = execution_rows.NewExecution(provider="p", digest="d", workflow="w", fair_key="k", actor="user:me")
    with store.begin() as tx:
        runs = execution_rows.queue(tx, [new] * 3)
    live = LiveLogs(away)
    logs = [LiveLog(StepLog(1000), 0, 1, Masker([SECRET])) for _ in runs]
    for run, log in zip(runs, logs, strict=True):
        live.register(run, 1, log)
        log.log.add(f"one {SECRET}")
    live.flush()
    live.flush()
    assert away.commits == 1
    assert [_written(store, run) for run in runs] == ["one ***\n"] * 3
    away.gone = True
    logs[0].log.add("two")
    with pytest.raises(DatabaseAway):
        live.flush()
    logs[0].log.add("three")
    away.gone = False
    live.flush()
    assert _written(store, runs[0]) == "one ***\ntwo\nthree\n"
    logs[1].log.add("last")
    taken = logs[1].take(final=True)  # the step ends while a flush has not heard yet that it is committed
    for _ in range(2):
        with store.begin() as tx:
            leavings.add_log(tx, [(runs[1], 0, 1, chunk, text) for chunk, text in taken])
    assert _written(store, runs[1]) == "one ***\nlast\n"


class SlowMasker(Masker):
    def __init__(self) -> None:
        super().__init__()
        self.masking = threading.Event()
        self.go_on = threading.Event()

    def mask(self, text: str) -> str:
        self.masking.set()
        self.go_on.wait(PATIENCE)
        return super().mask(text)


def test_the_end_of_a_step_waits_for_what_a_flush_is_about_to_store() -> None:
    """Should the flush fail, nobody else has it."""
    masker = SlowMasker()
    log = LiveLog(StepLog(1000), 0, 1, masker)
    log.log.add("the only line")
    taken: dict[bool, tuple[tuple[int, str], ...]] = {}

    def take(*, final: bool) -> None:
        taken[final] = log.take(final=final)

    flush, end = (threading.Thread(target=take, kwargs={"final": final}) for final in (False, True))
    flush.start()
    assert masker.masking.wait(PATIENCE)
    end.start()
    end.join(0.1)
    masker.go_on.set()
    for thread in (flush, end):
        thread.join(PATIENCE)
    assert taken == dict.fromkeys((False, True), ((1, "the only line\n"),))


def test_a_step_that_waited_goes_on_with_its_log(store: Store) -> None:
    new = execution_rows.NewExecution(provider="p", digest="d", workflow="w", fair_key="k", actor="user:me")
    with store.begin() as tx:
        (run,) = execution_rows.queue(tx, [new])
    for words in ("before it waits", "after it waited"):
        with store.begin() as tx:
            chunks = leavings.log_chunks(tx, run).get((0, 1), 0)
            log = LiveLog(StepLog(1000), 0, 1, Masker(), chunks=chunks)
            log.log.add(words)
            leavings.add_log(tx, [(run, 0, 1, chunk, text) for chunk, text in log.take(final=True)])
    assert _written(store, run) == "before it waits\nafter it waited\n"


def test_artifacts_reach_later_steps_and_are_there_again_in_another_attempt(house: House, tmp_path: Path) -> None:
    done = house.run("hands-on", dir=str(tmp_path))
    assert done.state == "failed"
    (tmp_path / "go").touch()
    assert house.ended(house.retry(done.id)).state == "succeeded"
    assert house.log(done.id).split() == ["one", "two"] * 2
    assert (tmp_path / "made").read_text().split() == ["x"]


def test_artifacts_that_cannot_travel_are_refused_in_words(house: House) -> None:
    told = {
        "true": "did not make it",
        "ln -s /etc/passwd it": "leads out of the step's workspace",
        "mkdir it; ln -s /etc it/etc": "the link `it/etc`",
        "mkdir it; ln -s ../../../.. it/up": "the link `it/up`",
        "mkdir it; mkfifo it/pipe": "neither file, folder nor link",
        "head -c 200000 /dev/zero > it": "the limit is 100000",
    }
    started = {house.execute("keeps", how=how): said for how, said in told.items()}
    for execution_id, said in started.items():
        done = house.ended(execution_id)
        assert done.state == "failed"
        assert said in done.error
        assert "broke" not in done.error


def test_a_link_to_something_inside_arrives_as_what_it_points_to(house: House) -> None:
    assert house.run("keeps", how="echo real > there; ln -s there it").state == "succeeded"


def test_outputs_that_cannot_be_stored_fail_their_step_and_nothing_else(house: House) -> None:
    assert "NUL" in house.run("nul").error
    assert "large" in house.run("huge").error
    assert house.idle()
