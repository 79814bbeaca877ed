"""Databases and programs that fail again and again: no room, no time, and done but reported as failed."""

from itertools import count
from pathlib import Path

from engine.store.database import Store
from tests.chaos.fleet import Worker, fleet
from tests.chaos.harm import Faults
from tests.chaos.workloads import LONG, SEED, Client, house_provider, seeded, verdict
from tests.support.platforms import build_platform
from tests.support.platforms_by_hand import reads, spec

BEFORE = f"""
dice=$(( ($$ * 7919 + {SEED}) % 100 ))
if [ $dice -lt 8 ]; then echo 'no memory left' >&2; exit 75; fi
"""
WORK = "if [ $dice -ge 90 ]; then sleep 60; fi"
AFTER = "if [ $dice -ge 20 ] && [ $dice -lt 25 ]; then echo 'connection reset' >&2; exit 75; fi"


def test_work_gets_done_while_one_transaction_in_five_and_one_step_in_five_fails(
    recorded_url: str, recorded_store: Store, tmp_path: Path
) -> None:
    seeded("faults")
    seeds = count(SEED)
    provider = house_provider(
        tmp_path, before=BEFORE, work=WORK, after=AFTER, timeout="2s", retry={"max": 12, "backoff": "50ms"}
    )

    def tell() -> Worker:
        faults = Faults(next(seeds), exhausted=7, late=7, lied=5)
        return Worker(recorded_url, tmp_path, provider, faults=faults)

    client = Client(build_platform(recorded_store, tmp_path, [provider]))
    asked = client.execute(count=1000 if LONG else 25)
    for number in range(20 if LONG else 2):
        client.submit(spec(f"app{number}", {"db": "1", "cache": "2", "app": reads("db", "cache")}))
    with fleet(3, tell) as workers:
        client.wait(lambda: client.all_ended(asked))
        states = {key: resource.state.value for key, resource in client.resources().items()}
        assert set(states.values()) == {"active"}, states
        assert workers.deaths == 0
    assert verdict(recorded_url, tmp_path) == []
