"""Large specs take turns, so that a small one does not wait for all of them."""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.services import submissions
from engine.store.database import Store, Transaction
from tests.support.platforms import ME, PATIENCE, House, build_platform, until
from tests.support.providers import kind, write_provider


class Door(Store):
    """A store that lets nobody write before it is opened, and counts who asked to."""

    def __init__(self, plain: Store) -> None:
        super().__init__(plain.engine, plain.sealer)
        self.asked = 0
        self.open = threading.Event()

    @contextmanager
    def begin(self) -> Generator[Transaction]:
        self.asked += 1
        assert self.open.wait(PATIENCE)
        with super().begin() as tx:
            yield tx


@pytest.fixture
def door(store: Store) -> Iterator[Door]:
    made = Door(store)
    yield made
    made.open.set()


def _spec(name: str, resources: int) -> str:
    things = "".join(f"  t{number}: {{type: thing}}\n" for number in range(resources))
    head = f"apiVersion: score.dev/v1b1\nmetadata: {{name: {name}}}\ncontainers: {{main: {{image: v1}}}}\n"
    return f"{head}resources:\n{things}"


def _submitting(house: House, *sources: str) -> list[threading.Thread]:
    threads = [threading.Thread(target=submissions.submit, args=(house.platform, ME, source)) for source in sources]
    for thread in threads:
        thread.start()
    return threads


def test_a_small_spec_does_not_wait_for_all_the_large_ones(door: Door, tmp_path: Path) -> None:
    provider = write_provider(tmp_path / "team", kinds={"thing": kind()})
    door.open.set()
    house = build_platform(door, tmp_path, [provider])
    door.open.clear()
    door.asked = 0
    threads = _submitting(house, *(_spec(f"large-{number}", 101) for number in range(4)))
    until(lambda: door.asked == 2)
    threads += _submitting(house, _spec("small", 1))
    until(lambda: door.asked == 3)
    door.open.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert door.asked == 5
