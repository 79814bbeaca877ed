"""What the doors tell as it happens: one of these per app."""

from api.tail import Tail
from engine.services.bells import Bells
from engine.services.platform import Platform


class Live:
    """The shared means of all streams and sockets of an app."""

    def __init__(self, platform: Platform) -> None:
        self.bells = Bells(lambda: platform.store.hints)
        self.tail = Tail(platform, self.bells)

    def close(self) -> None:
        """End every stream now, so that the server can stop within its time. On the event loop's thread."""
        self.tail.close()
