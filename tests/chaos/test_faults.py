"""Databases and programs that fail again and again: no room, no time, and done but reported as failed."""

from collections import Counter
from itertools import count
from pathlib import Path

from engine.store.database import Store
from tests.chaos.fleet import Worker, fleet
from tests.chaos.harm import Faults
from tests.chaos.workloads import LONG, SEED, Client, house_provider, seeded, verdict
from tests.support.platforms import build_platform
from tests.support.platforms_by_hand import reads, spec

WORDS = {"exhausted": "no memory left", "late": "within the step's time", "lied": "connection reset"}
"""The faults that programs of steps meet, 8, 8 and 5 in a hundred, and how their steps tell. What `lied` was done."""
BEFORE = """
me=$INNOMINATUS_EXECUTION.$INNOMINATUS_STEP
echo >> {folder}/tries.$me
dice=$(printf '%s' "{seed} $me $(wc -l < {folder}/tries.$me)" | cksum | cut -d' ' -f1)
dice=$(( dice % 100 ))
struck() {{ echo $1 >> {folder}/faults; }}
if [ $dice -lt 8 ]; then struck exhausted; echo 'no memory left' >&2; exit 75; fi
"""
WORK = "if [ ${dice:-0} -ge 92 ]; then struck late; sleep 60; fi"
AFTER = "if [ $dice -ge 20 ] && [ $dice -lt 25 ]; then struck lied; echo 'connection reset' >&2; exit 75; fi"


def test_work_gets_done_while_one_transaction_in_five_and_one_step_in_five_fails(
    recorded_url: str, recorded_store: Store, tmp_path: Path
) -> None:
    seeded("faults")
    seeds = count(SEED)
    before = BEFORE.format(folder=tmp_path, seed=SEED)
    provider = house_provider(
        tmp_path, before=before, work=WORK, after=AFTER, timeout="2s", retry={"max": 12, "backoff": "50ms"}
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
    told = [run.error for execution_id in asked for run in client.house.steps(execution_id)]
    struck = Counter((tmp_path / "faults").read_text().split())
    assert struck.keys() == WORDS.keys(), "the dice fell, and each kind of fault met some program"
    for fault, word in WORDS.items():
        assert any(word in error for error in told), (fault, struck, Counter(told))
    assert verdict(recorded_url, tmp_path) == []
