"""Workers are stopped for longer than their lease and go on later, not knowing that time has passed."""

import os
import signal
import time
from pathlib import Path

from engine.store.database import Store
from tests.chaos import history
from tests.chaos.fleet import Worker, fleet
from tests.chaos.workloads import LONG, PACE, Client, alive, house_provider, seeded, verdict
from tests.support.platforms import build_platform, until


def test_a_stopped_worker_writes_nothing_afterwards_and_its_step_ends_with_its_lease(
    recorded_url: str, recorded_store: Store, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    held = f"echo $PPID > {tmp_path}/worker.$$; until [ -e {go} ]; do sleep 0.02; done"
    provider = house_provider(tmp_path, work=held)
    ledger = tmp_path / "ledger"
    house = build_platform(recorded_store, tmp_path, [provider])
    with fleet(2, lambda: Worker(recorded_url, tmp_path, provider)):
        execution_id = house.execute("mixed")
        begun = until(lambda: history.effects(ledger)[:1], seconds=60)[0]
        holder = int(until((tmp_path / f"worker.{begun.pid}").read_text))
        os.kill(holder, signal.SIGSTOP)
        try:
            until(lambda: not alive(begun.pid), seconds=60)
            second = until(lambda: history.effects(ledger)[1:], seconds=60)[0]
            assert (second.what, second.step, second.key) == ("begin", begun.step, begun.key)
            go.touch()
            assert house.ended(execution_id, seconds=60).state == "succeeded"
        finally:
            os.kill(holder, signal.SIGCONT)
        last = history.changes(recorded_url)[-1].number
        name = next(
            change.after["worker"]
            for change in history.changes(recorded_url)
            if change.noun == "executions" and change.after and change.after["worker"]
        )

        def works_again() -> bool:
            house.ended(house.execute("mixed"), seconds=60)
            later = [change for change in history.changes(recorded_url) if change.number > last]
            return any(
                change.noun == "executions" and change.after and change.after["worker"] == name for change in later
            )

        until(works_again, seconds=60)
    mine = [
        change
        for change in history.changes(recorded_url)
        if change.number > last and change.noun in {"executions", "step_runs"} and change.after
        if execution_id in {change.after.get("id"), change.after.get("execution_id")}
    ]
    assert mine == []
    assert [run[:3] for run in house.step_states(execution_id)][:2] == [
        ("first", 1, "cancelled"),
        ("first", 2, "succeeded"),
    ]
    assert verdict(recorded_url, tmp_path) == []


def test_workers_that_are_stopped_now_and_then_get_in_nobodys_way(
    recorded_url: str, recorded_store: Store, tmp_path: Path
) -> None:
    dice = seeded("pauses")
    provider = house_provider(tmp_path, work="sleep 0.2")
    client = Client(build_platform(recorded_store, tmp_path, [provider]))
    asked = client.execute(count=20)
    with fleet(3, lambda: Worker(recorded_url, tmp_path, provider)) as workers:
        client.wait(lambda: len(history.effects(tmp_path / "ledger")) > 2)
        for _ in range(60 if LONG else 3):
            place = dice.randrange(3)
            workers.signal(signal.SIGSTOP, place)
            ends = time.monotonic() + dice.uniform(0.2, 2.5) * PACE.lease
            client.wait(lambda ends=ends: time.monotonic() > ends)
            workers.signal(signal.SIGCONT, place)
            asked += client.execute(count=5)
        client.wait(lambda: client.all_ended(asked))
        assert workers.deaths == 0
    assert verdict(recorded_url, tmp_path) == []
