"""Several processes ask for the same thing, or for opposite things, at the same moment."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.store.database import Store
from tests.chaos import history
from tests.chaos.fleet import ROOT, Worker, fleet
from tests.chaos.workloads import LONG, Client, house_provider, seeded, verdict
from tests.support.platforms import build_platform
from tests.support.platforms_by_hand import reads, spec

PROGRAM = Path(__file__).parent / "door_process.py"


class Doors:
    """Processes that are asked all at once."""

    def __init__(self, count: int, url: str, folder: Path, provider: Path) -> None:
        command = [sys.executable, str(PROGRAM), url, str(folder), str(provider)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.processes = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
            )
            for _ in range(count)
        ]
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

    def begin(self, *requests: dict[str, Any]) -> None:
        """One request per process."""
        for process, request in zip(self.processes, requests, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps({"keys": [None], **request}) + "\n")
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.flush()

    def answers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for process in self.processes:
            assert process.stdout is not None
            found += json.loads(process.stdout.readline())
        return found

    def close(self) -> None:
        for process in self.processes:
            process.communicate(timeout=30)


@contextmanager
def doors(count: int, url: str, folder: Path, provider: Path) -> Generator[Doors]:
    made = Doors(count, url, folder, provider)
    try:
        yield made
    finally:
        made.close()


def test_a_dependency_that_comes_in_and_two_new_versions_meet(
    recorded_url: str, recorded_store: Store, tmp_path: Path
) -> None:
    dice = seeded("at once")
    hold = tmp_path / "hold"
    provider = house_provider(tmp_path, work=f"while [ -e {hold} ]; do sleep 0.01; done")
    client = Client(build_platform(recorded_store, tmp_path, [provider]))

    def version(value: str) -> str:
        return spec("shop", {"db": value, "cache": value, "app": reads("db", "cache")}, image=value)

    with (
        fleet(2, lambda: Worker(recorded_url, tmp_path, provider)),
        doors(2, recorded_url, tmp_path, provider) as asked,
    ):
        for number in range(60 if LONG else 4):
            hold.touch()
            before = len(history.effects(tmp_path / "ledger"))
            client.submit(version(f"v{number}"))
            client.wait(lambda before=before: len(history.effects(tmp_path / "ledger")) >= before + 2)
            wishes = [f"{number}-a", f"{number}-b"]
            late = dice.uniform(0, 0.05)
            if dice.random() < 0.5:
                hold.unlink()
                time.sleep(late)
                asked.begin(*({"do": "submit", "source": version(wish)} for wish in wishes))
            else:
                asked.begin(*({"do": "submit", "source": version(wish)} for wish in wishes))
                time.sleep(late)
                hold.unlink()
            answers = asked.answers()
            assert all("error" not in answer for answer in answers), answers
            versions = [answer["version"] for answer in answers]
            assert len(set(versions)) == 2
            last = wishes[versions.index(max(versions))]
            client.wait(lambda: not client.open())
            for key, resource in client.resources().items():
                assert resource.settled, (key, resource)
                assert resource.desired_generation == resource.observed_generation
            found = client.resources()
            assert found["thing/shop.db"].outputs == found["thing/shop.cache"].outputs == {"value": last}
            assert found["thing/shop.app"].outputs == {"value": f"{last} {last}"}
    assert verdict(recorded_url, tmp_path) == []


def test_one_idempotency_key_twenty_times_at_once_is_one_request(
    recorded_url: str, recorded_store: Store, tmp_path: Path
) -> None:
    seeded("one key")
    provider = house_provider(tmp_path)
    client = Client(build_platform(recorded_store, tmp_path, [provider]))
    with (
        fleet(2, lambda: Worker(recorded_url, tmp_path, provider)),
        doors(2, recorded_url, tmp_path, provider) as asked,
    ):
        runs: set[int] = set()
        for number in range(50 if LONG else 3):
            asked.begin(*[{"do": "execute", "keys": [f"run-{number}"] * 10}] * 2)
            answers = asked.answers()
            assert len(answers) == 20
            assert [answer for answer in answers if answer != answers[0]] == []
            runs.add(answers[0]["execution"])
            source = spec(f"app{number}", {"db": "1"})
            asked.begin(*[{"do": "submit", "source": source, "keys": [f"app-{number}"] * 10}] * 2)
            submitted = asked.answers()
            assert [answer for answer in submitted if answer != submitted[0]] == []
            assert submitted[0]["version"] == 1
        client.wait(lambda: not client.open())
        assert len(client.succeeded()) == len(runs) * 3, "a golden path, a database and a workload each"
    assert verdict(recorded_url, tmp_path) == []
