"""Engines of several processes wake each other through Redis; without it they find the work all the same."""

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.runtime import queue as dramatiq_queue
from engine.runtime.queue import Nudges, connect
from engine.runtime.signals import Elsewhere
from engine.store.executions import NewExecution, queue
from tests.support import servers
from tests.support.platforms import PATIENCE, build_platform, open_store, until
from tests.support.providers import values, workflow, write_provider


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="innominatus-tests-"))
    try:
        found = servers.start("valkey", folder)
        yield f"redis://{found.user}:{found.password}@{found.host}:{found.port}/0"
    finally:
        servers.purge(folder)
        shutil.rmtree(folder, ignore_errors=True)


class Ear:
    """Stands for an engine: hears nudges, and has a thread free or not."""

    def __init__(self, url: str, *, free: bool) -> None:
        self.heard = threading.Event()
        self.free = free
        self.nudges = Nudges(url)
        self.nudges.start(self.offer)

    def offer(self) -> bool:
        self.heard.set()
        return self.free


def test_a_nudge_reaches_a_process_that_has_a_thread_free(redis_url: str) -> None:
    ears = [Ear(redis_url, free=False), Ear(redis_url, free=True), Ear(redis_url, free=False)]
    sender = Nudges(redis_url)
    sender.start()
    try:
        until(lambda: sender.send() or ears[1].heard.wait(0.2))
    finally:
        for nudges in (sender, *(ear.nudges for ear in ears)):
            nudges.stop()


def test_what_is_passed_on_at_every_turn_is_sent_now_and_then_and_the_last_call_is_not_lost(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each comes back to a process that has no thread for it, as long as nobody else takes it."""
    monkeypatch.setattr(dramatiq_queue, "_PASS_ON_SECONDS", 1.0)
    heard: list[bool] = []
    ear, sender = Nudges(redis_url), Nudges(redis_url)
    ear.start(lambda: heard.append(True) or True)
    sender.start()
    try:
        sender.pass_on()
        until(lambda: heard)
        for _ in range(50):
            sender.pass_on()
        until(lambda: len(heard) == 2)
        sender.send()  # what somebody asks for does not wait for that
        until(lambda: len(heard) == 3)
    finally:
        for nudges in (sender, ear):
            nudges.stop()


def test_sending_costs_nothing_and_loses_nothing_while_redis_is_away() -> None:
    nudges = Nudges("redis://127.0.0.1:1/0")
    nudges.start()
    try:
        began = time.monotonic()
        for _ in range(1000):
            Elsewhere(nudges).nudge()
        assert time.monotonic() - began < PATIENCE / 10
        assert until(lambda: nudges.away)
    finally:
        nudges.stop()


def test_that_redis_is_away_is_told_once_and_not_by_everybody_who_notices(caplog: pytest.LogCaptureFixture) -> None:
    nudges = Nudges("redis://127.0.0.1:1/0")
    nudges.start(lambda: True)
    try:
        nudges.send()
        until(lambda: nudges.away)
        time.sleep(0.5)  # Dramatiq's consumers have noticed, too
    finally:
        nudges.stop()
    assert [record.name for record in caplog.records if record.name.startswith("dramatiq")] == []


@pytest.mark.parametrize("with_redis", [True, False])
def test_an_engine_takes_up_what_another_process_asked_for(
    postgres_database: str, redis_url: str, tmp_path: Path, *, with_redis: bool
) -> None:
    from tests.support.platforms import create_tables

    create_tables(postgres_database)
    store = open_store(postgres_database)
    provider = write_provider(tmp_path / "provider", golden={"one": workflow([values("a", b=1)])})
    sweep = 600.0 if with_redis else 0.2  # with Redis nobody waits for a sweep
    house = build_platform(store, tmp_path, [provider], sweep_seconds=sweep)
    nudges = Nudges(redis_url)
    house.engine.start()
    nudges.start(house.engine.offer)
    sender = Nudges(redis_url)
    sender.start()
    try:
        (team,) = house.platform.providers.registry.providers
        until(house.idle)
        with store.begin() as tx:
            (execution_id,) = queue(tx, [NewExecution(team.name, team.digest, "one", "app", "user:me")])
        if with_redis:
            Elsewhere(sender).nudge()
        assert house.ended(execution_id).state == "succeeded"
    finally:
        sender.stop()
        nudges.stop()
        house.engine.stop(grace=0.2)
        store.close()


def test_a_process_that_hears_the_bell_does_not_go_on_asking_for_nudges(redis_url: str) -> None:
    client = connect(redis_url)

    def asked() -> int:
        told = client.info("commandstats")  # pyright: ignore[reportUnknownMemberType] - redis leaves it untyped
        return sum(told.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))

    ear, sender = Ear(redis_url, free=True), Nudges(redis_url)
    sender.start()
    try:
        until(lambda: sender.send() or ear.heard.wait(0.2))
        before = asked()
        time.sleep(1.5)
        assert asked() - before < 10, "it would be thirty by looking every 50 ms"
        ear.heard.clear()
        sender.send()
        assert ear.heard.wait(PATIENCE)
    finally:
        for nudges in (sender, ear.nudges):
            nudges.stop()
        client.close()


def test_a_user_without_channels_is_nudged_all_the_same(redis_url: str) -> None:
    client = connect(redis_url)
    client.execute_command("ACL", "SETUSER", "mute", "on", ">secret", "resetchannels", "~*", "+@all")  # pyright: ignore[reportUnknownMemberType] - as above
    mute = re.sub("//[^@]*@", "//mute:secret@", redis_url)
    ear, sender = Ear(mute, free=True), Nudges(mute)
    sender.start()
    try:
        until(lambda: sender.send() or ear.heard.wait(0.2))
        assert sender.away == ""
    finally:
        for nudges in (sender, ear.nudges):
            nudges.stop()
        client.close()
