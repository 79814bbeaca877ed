"""Following the timeline in one process: nothing missed, nothing twice, however slow or many the followers are."""

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from api.live import Live
from api.tail import Follower
from engine.domain.event import BEGINNING, Event, Position, Wanted
from engine.domain.values import ApplicationId
from engine.services import timeline
from engine.services.platform import Platform
from engine.store import events
from engine.store.database import Store
from tests.support import team
from tests.support.platforms import PATIENCE, build_platform


def say(store: Store, *kinds: str, application: int | None = None) -> None:
    about = None if application is None else ApplicationId(application)
    with store.begin() as tx:
        events.record(tx, [Event(kind, "user:me", application_id=about) for kind in kinds])


def playing(store: Store, folder: Path, play: Callable[[Platform, Live], Awaitable[None]]) -> None:
    """A test on an event loop, with the live part of a door."""
    platform = build_platform(store, folder, [team.write(folder / "team")]).platform

    async def all_of_it() -> None:
        async with asyncio.timeout(4 * PATIENCE):
            await play(platform, Live(platform))

    asyncio.run(all_of_it())


async def heard(follower: Follower, count: int) -> list[str]:
    """The kinds of the next events, `count` of them."""
    found: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += [told.event.kind for told in await follower.next(1)]
    return found


def test_followers_hear_what_happens_from_now_on_or_from_where_they_were(store: Store, tmp_path: Path) -> None:
    say(store, "a.one", "a.two")

    async def play(platform: Platform, live: Live) -> None:
        first = timeline.read(platform, BEGINNING, limit=1).reached
        async with live.tail.follow(Wanted()) as fresh, live.tail.follow(Wanted(), first) as back:
            assert await heard(back, 1) == ["a.two"]
            await asyncio.to_thread(say, store, "b.three")
            assert await heard(fresh, 1) == ["b.three"]
            assert await heard(back, 1) == ["b.three"]
            assert await fresh.next(0) == ()
            assert fresh.position == back.position == timeline.end(platform)

    playing(store, tmp_path, play)


def test_each_hears_what_it_asked_for(store: Store, tmp_path: Path) -> None:
    async def play(platform: Platform, live: Live) -> None:
        one, three = Wanted(ApplicationId(1)), Wanted(ApplicationId(1), ("resource",))
        async with (
            live.tail.follow(one) as mine,
            live.tail.follow(Wanted(kinds=("execution.failed",))) as failures,
            live.tail.follow(three) as both,
        ):
            for follower in (mine, failures, both):
                assert await follower.next(0) == ()
            await asyncio.to_thread(say, store, "resource.active", "execution.failed", application=1)
            await asyncio.to_thread(say, store, "resource.active", "execution.failed", application=2)
            assert await heard(failures, 2) == ["execution.failed"] * 2
            assert await heard(mine, 2) == ["resource.active", "execution.failed"]
            assert await heard(both, 1) == ["resource.active"]
            assert await both.next(0) == ()

    playing(store, tmp_path, play)


def test_who_does_not_read_loses_its_queue_and_no_event(store: Store, tmp_path: Path) -> None:
    async def play(platform: Platform, live: Live) -> None:
        async with live.tail.follow(Wanted()) as slow, live.tail.follow(Wanted()) as quick:
            for follower in (slow, quick):
                assert await follower.next(0) == ()
            for turn in range(30):
                await asyncio.to_thread(say, store, *(f"n.{turn}.{number}" for number in range(50)))
                assert len(await heard(quick, 50)) == 50
            assert slow.queued <= 200
            expected = [f"n.{turn}.{number}" for turn in range(30) for number in range(50)]
            assert await heard(slow, 1500) == expected
            await asyncio.to_thread(say, store, "at.last")
            assert await heard(slow, 1) == ["at.last"]

    playing(store, tmp_path, play)


def test_what_happens_while_many_come_and_go_reaches_each_once(store: Store, tmp_path: Path) -> None:
    """Followers join, leave and resume in the midst of a writer's commits."""
    total = 300

    def write() -> None:
        for number in range(total):
            say(store, f"n.{number}")

    async def follow(live: Live, seed: int) -> list[str]:
        found: list[str] = []
        at: Position = BEGINNING
        while len(found) < total:
            async with live.tail.follow(Wanted(), at) as follower:
                for _ in range(1 + seed):
                    found += [told.event.kind for told in await follower.next(0.5)]
                at = follower.position
        return found

    async def play(platform: Platform, live: Live) -> None:
        writing = asyncio.create_task(asyncio.to_thread(write))
        expected = [f"n.{number}" for number in range(total)]
        for found in await asyncio.gather(*(follow(live, seed) for seed in range(6))):
            assert found == expected
        await writing

    playing(store, tmp_path, play)


def test_five_hundred_who_listen_cost_little_and_all_hear(store: Store, tmp_path: Path) -> None:
    async def play(platform: Platform, live: Live) -> None:
        async with AsyncExitStack() as stack:
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            followers = [await stack.enter_async_context(live.tail.follow(Wanted(), BEGINNING)) for _ in range(500)]
            waiting = [asyncio.create_task(heard(follower, 1)) for follower in followers]
            await asyncio.sleep(0)
            assert await followers[0].next(0.2) == ()
            grown = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            assert grown < 25_000_000
            await asyncio.to_thread(say, store, "for.all")
            assert all(found == ["for.all"] for found in await asyncio.gather(*waiting[1:]))
            waiting[0].cancel()

    playing(store, tmp_path, play)


def test_nobody_who_listens_is_left_waiting_when_the_doors_close(store: Store, tmp_path: Path) -> None:
    async def play(platform: Platform, live: Live) -> None:
        async with live.tail.follow(Wanted()) as follower:
            waiting = asyncio.create_task(follower.next(3600))
            assert await live.tail.aside(timeline.end, platform) == BEGINNING
            live.close()
            assert await waiting == ()
        assert not store.hints.wanted

    playing(store, tmp_path, play)
