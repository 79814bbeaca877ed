"""A way to PostgreSQL on which connections break around a COMMIT: before it arrives, or before its answer does."""

import contextlib
import random
import socket
import threading
from urllib.parse import urlsplit

_COMMIT = b"COMMIT\0"


class Proxy:
    """Listens on loopback. `share` of the commits lose their connection; `unsent_share` of these never arrive."""

    def __init__(self, url: str, *, seed: int, share: float) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = url.replace(f":{parts.port}/", f":{self._listener.getsockname()[1]}/")
        self.share = share
        self.unsent_share = 0.5
        self._random = random.Random(seed)
        self.unsent = 0
        """Commits that never arrived."""
        self.unanswered = 0
        """Commits that were carried out, and whose answer was lost."""
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def close(self) -> None:
        self.share = 0.0
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), name="proxied", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self._target) as server:
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            drop = threading.Event()
            threading.Thread(target=self._answer, args=(server, client, drop), name="answers", daemon=True).start()
            while data := client.recv(65536):
                if _COMMIT in data and self._random.random() < self.share:
                    if self._random.random() < self.unsent_share:
                        self.unsent += 1
                        break
                    self.unanswered += 1
                    drop.set()
                server.sendall(data)
            _hang_up(client, server)

    def _answer(self, server: socket.socket, client: socket.socket, drop: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if drop.is_set():
                    break
                client.sendall(data)
        _hang_up(client, server)


def _hang_up(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
