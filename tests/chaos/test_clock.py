"""The clock of one worker jumps by an hour, there and back: leases and waits go by the database's clock."""

import signal
from pathlib import Path

from engine.store.database import Store
from tests.chaos import history
from tests.chaos.fleet import Worker, fleet
from tests.chaos.workloads import LONG, Client, house_provider, seeded, verdict
from tests.support.platforms import build_platform


def test_a_clock_that_jumps_by_an_hour_moves_no_lease_and_no_wait(
    recorded_url: str, recorded_store: Store, tmp_path: Path
) -> None:
    dice = seeded("clock")
    once_more = f"if mkdir {tmp_path}/tried-$INNOMINATUS_IDEMPOTENCY_KEY 2>/dev/null; then exit 75; fi"
    provider = house_provider(tmp_path, before=once_more, work="sleep 0.1", retry={"max": 2, "backoff": "300ms"})
    client = Client(build_platform(recorded_store, tmp_path, [provider]))
    asked = client.execute(count=10)
    log = tmp_path / "workers.log"
    with fleet(2, lambda: Worker(recorded_url, tmp_path, provider)) as workers:
        client.wait(lambda: len(history.effects(tmp_path / "ledger")) > 1)
        off = 0
        for jumps in range(1, 31 if LONG else 5):
            ahead = dice.random() < 0.5
            off += 3600 if ahead else -3600
            workers.signal(signal.SIGUSR1 if ahead else signal.SIGUSR2, 0)
            client.wait(lambda jumps=jumps: log.read_text().count("clock off by") == jumps)
            assert log.read_text().rstrip().endswith(f"clock off by {off} s, {off} s") or off == 0
            more = client.execute(count=3)
            client.wait(lambda more=more: client.all_of(more))
            asked += more
        client.wait(lambda: client.all_ended(asked))
    assert all(client.house.execution(number).fence < 6 for number in asked), "nobody took another's work"
    assert verdict(recorded_url, tmp_path) == []
