"""What the doors tell as it happens: one of these per app."""

import asyncio

from anyio.to_thread import run_sync

from api.tail import Tail
from engine.domain.values import ExecutionId
from engine.services import executions
from engine.services.bells import Bells
from engine.services.executions import ExecutionView
from engine.services.platform import Platform
from engine.store.hints import of_end


class Live:
    """The shared means of all streams, sockets and long polls of an app."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.bells = Bells(lambda: platform.store.hints)
        self.tail = Tail(platform, self.bells)

    async def ended(self, execution_id: ExecutionId, *, seconds: float) -> ExecutionView:
        """The execution as soon as it has ended, or as it stands after `seconds`. Raises NotFound.

        Whoever waits holds no thread: any number may.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        with self.bells.on(of_end(execution_id)) as bell:
            while seconds > 0 and await self.tail.aside(executions.goes_on, self._platform, execution_id):
                left = deadline - loop.time()
                if left <= 0 or self.tail.closed:
                    break
                await bell.wait(left)
        return await run_sync(executions.get, self._platform, execution_id)

    def close(self) -> None:
        """End every stream now, so that the server can stop within its time. On the event loop's thread."""
        self.tail.close()
