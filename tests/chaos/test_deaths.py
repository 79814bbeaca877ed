"""Workers are killed at every point of their work, one after the other, while the work goes on."""

from itertools import product
from pathlib import Path

from engine.store.database import Store
from tests.chaos.fleet import Worker, fleet
from tests.chaos.harm import COMMITTERS, Death
from tests.chaos.workloads import LONG, Client, house_provider, seeded, verdict
from tests.support.platforms import build_platform
from tests.support.platforms_by_hand import reads, spec

ROUNDS = 10 if LONG else 1
LATEST = {"journal": 12, "claimer": 4, "heartbeat": 3, "sweeper": 3}
"""Up to which of its commits a worker lives."""
EFFECTS = ("before-first", "after-first", "before-once", "after-once")
"""The files that kill the worker of the next such step around its effect."""


def test_workers_die_at_every_point_and_nothing_is_lost_or_done_twice(
    recorded_url: str, recorded_store: Store, tmp_path: Path
) -> None:
    dice = seeded("deaths")
    provider = house_provider(tmp_path)
    deaths = [
        Death(when, who, dice.randint(1, LATEST[who]))
        for _ in range(ROUNDS)
        for who, when in product(COMMITTERS, ("before", "after"))
    ]
    effects = EFFECTS * ROUNDS
    dice.shuffle(deaths)
    # One worker lives on, so that nothing may be left lying for longer than two leases.
    waiting = iter([None, *deaths])

    def tell() -> Worker:
        return Worker(recorded_url, tmp_path, provider, death=next(waiting, None))

    client = Client(build_platform(recorded_store, tmp_path, [provider]))
    asked = client.execute(count=20)
    for name in ("shop", "blog"):
        client.submit(spec(name, {"db": "1", "cache": "2", "app": reads("db", "cache")}))
    with fleet(4, tell) as workers:

        def died(count: int) -> bool:
            if client.open() < 10:
                asked.extend(client.execute(count=5))
            return workers.deaths >= count

        client.wait(lambda: died(len(deaths)))
        for number, name in enumerate(effects, start=1):
            (tmp_path / name).touch()
            client.wait(lambda number=number: died(len(deaths) + number))
        client.wait(lambda: client.all_ended(asked))
        for name in ("shop", "blog"):
            client.delete(name)
        client.wait(lambda: {resource.state.value for resource in client.resources().values()} == {"terminated"})
        client.wait(lambda: not client.open())
    assert next(waiting, None) is None
    assert verdict(recorded_url, tmp_path) == []
