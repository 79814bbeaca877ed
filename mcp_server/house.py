"""What every tool is given: the platform, who asks, and the way to run a service off the event loop."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
from anyio.to_thread import run_sync
from mcp.server.mcpserver import Context

from engine.domain.values import Actor
from engine.services.bells import AsyncBell, Bells
from engine.services.platform import Platform

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_WAIT = 45
"""Seconds; clients give up on a call at about 60."""
_PROGRESS_EVERY, _FIRST_PROGRESS = 2.0, 0.5
_BREATH = 0.01
"""Between two looks: what happens at once is looked at once."""


@dataclass(frozen=True, slots=True)
class House:
    get: Callable[[], Platform]
    actor: Callable[[], Actor]
    bells: Bells

    @property
    def platform(self) -> Platform:
        return self.get()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far something is: `done` of `total` steps, in words."""

    done: int
    total: int
    words: str


async def aside(service: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a service on a worker thread."""
    return await run_sync(partial(service, *args, **kwargs))


async def wait_for(
    bell: AsyncBell,
    look: Callable[[], T],
    *,
    ended: Callable[[T], bool],
    progress: Callable[[T], Progress],
    seconds: float,
    context: Context,
) -> T:
    """What `look` sees as soon as it has ended, or after `seconds`. It looks when `bell` rings; it holds no thread.

    Progress goes to a client that asked for it, after half a second and then every two.
    """
    deadline = anyio.current_time() + min(max(seconds, 0), LONGEST_WAIT)
    told = anyio.current_time() - _PROGRESS_EVERY + _FIRST_PROGRESS
    while True:
        seen = await aside(look)
        now = anyio.current_time()
        if ended(seen) or now >= deadline:
            return seen
        if now - told >= _PROGRESS_EVERY:
            told = now
            at = progress(seen)
            await context.report_progress(at.done, at.total or None, at.words)
        await bell.wait(min(deadline - now, max(0.0, told + _PROGRESS_EVERY - now)))
        await anyio.sleep(_BREATH)
